//! Texts without the credentials of the URLs in them. It must not know statements' meaning.

const MASK: &str = "***";

/// `text` without the credentials of the URLs in it: `s3://***@bucket`.
pub fn without_credentials(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || matches!(c, '/' | ',' | '"' | '\'')).unwrap_or(after.len());
        rest = match after[..end].rfind('@') {
            Some(at) => {
                out.push_str(MASK);
                &after[at..]
            }
            None => after,
        };
    }
    out + rest
}

/// The text of a statement without passwords, also those in URLs.
pub(crate) fn without_secrets(sql: &str) -> String {
    without_credentials(&thalweg_sql::server::masked(sql))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_without_secrets_stay_as_they_are() {
        for sql in [
            "CREATE TABLE t (k INT) -- the first",
            "CREATE VIEW v AS SELECT * FROM t WHERE name = 'it''s' AND x = $1",
            "INSERT INTO t VALUES ('é', $$ $$)",
        ] {
            assert_eq!(without_secrets(sql), sql);
        }
    }

    #[test]
    fn no_form_of_a_secret_is_left() {
        for sql in [
            "CREATE SOURCE s WITH (connector = 'kafka', properties.sasl.password = 'canary')",
            "CREATE SOURCE s WITH (\"sasl.password\" = 'it''s canary', x = 'y')",
            "CREATE SOURCE s WITH (password = E'a\\'canary', x = 1)",
            "CREATE SOURCE s WITH (password = $$canary$$)",
            "CREATE SOURCE s WITH (password = $q$a$canary$q$, x = 1)",
            "CREATE SOURCE s WITH (password=canary)",
            "CREATE SOURCE s WITH (password := canary, b = 2)",
            "CREATE SECRET k AS 'canary'",
            "/* the password is canary /* canary */ canary */ CREATE SECRET k -- canary\n AS 'x'",
            "SELECT * FROM t WHERE token = 'canary'",
            "CREATE SINK k WITH (access_key = U&'canary', pwd = N'canary')",
            "CREATE SECRET k AS 'canary without an end",
            "CREATE SINK k WITH (url = 'https://user:canary@host/x')",
            "COPY t TO 'postgres://canary@host'",
        ] {
            let masked = without_secrets(sql);
            assert!(!masked.contains("canary"), "{sql} became {masked}");
        }
    }

    #[test]
    fn credentials_in_urls_are_masked() {
        let text = "s3://id:s3cret@bucket/x, https://p@ss:w@host:1/y plain@mail https://host/a@b";
        assert_eq!(without_credentials(text), "s3://***@bucket/x, https://***@host:1/y plain@mail https://host/a@b");
    }
}
