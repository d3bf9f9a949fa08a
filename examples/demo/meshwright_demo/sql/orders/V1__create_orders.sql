CREATE TABLE orders (
    id         integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_uid  uuid        NOT NULL UNIQUE,
    user_uid   uuid        NOT NULL,
    item_uid   uuid        NOT NULL,
    order_date timestamptz NOT NULL,
    status     text        NOT NULL CHECK (status IN ('PAID', 'CANCELED', 'WAITING'))
);

CREATE INDEX orders_of_user ON orders (user_uid, id);
