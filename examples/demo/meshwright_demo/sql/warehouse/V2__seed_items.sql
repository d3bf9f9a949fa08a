INSERT INTO items (model, size, available_count) VALUES
    ('Lego 8070', 'M', 10000),
    ('Lego 8880', 'L', 10000),
    ('Lego 42070', 'L', 10000);
