CREATE TABLE warranty (
    id            integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    item_uid      uuid        NOT NULL UNIQUE,
    status        text        NOT NULL CHECK (status IN ('ON_WARRANTY', 'USE_WARRANTY', 'REMOVED_FROM_WARRANTY')),
    warranty_date timestamptz NOT NULL,
    comment       text
);
