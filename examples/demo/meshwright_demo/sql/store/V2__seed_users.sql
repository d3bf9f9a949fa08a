INSERT INTO users (name, user_uid) VALUES ('Alex', '6d2cb5a0-943c-4b96-9aa6-89eac7bdfd2b');
