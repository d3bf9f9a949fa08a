CREATE TABLE items (
    id              integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model           text    NOT NULL,
    size            text    NOT NULL CHECK (size IN ('S', 'M', 'L', 'XL')),
    available_count integer NOT NULL CHECK (available_count >= 0),
    UNIQUE (model, size)
);

CREATE TABLE order_item (
    id             integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_item_uid uuid    NOT NULL UNIQUE,
    order_uid      uuid    NOT NULL,
    item_id        integer NOT NULL REFERENCES items (id),
    canceled       boolean NOT NULL DEFAULT false
);
