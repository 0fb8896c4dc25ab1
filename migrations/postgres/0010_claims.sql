-- What is known about people beside name and address of mail, as JSON.
ALTER TABLE users ADD COLUMN profile TEXT COLLATE "C" NOT NULL DEFAULT '{}';

-- Claims that were asked for one by one: where they are told, as JSON; and which of them were allowed, as names.
ALTER TABLE grants ADD COLUMN claims TEXT COLLATE "C" NOT NULL DEFAULT '{}';
ALTER TABLE consents ADD COLUMN claims TEXT COLLATE "C" NOT NULL DEFAULT '';
