//! Settings that every server has and nobody can change. It must not know those of the picture.

/// Names and values.
const PRESET: [(&str, &str); 16] = [
    ("block_size", "8192"),
    ("client_encoding", "UTF8"),
    ("default_table_access_method", "heap"),
    ("default_tablespace", ""),
    ("integer_datetimes", "on"),
    ("is_superuser", "off"),
    ("jit", "off"),
    ("lc_collate", "C.UTF-8"),
    ("lc_ctype", "C.UTF-8"),
    ("max_identifier_length", "63"),
    ("max_index_keys", "32"),
    ("server_encoding", "UTF8"),
    ("server_version", "15.0"),
    ("server_version_num", "150000"),
    ("standard_conforming_strings", "on"),
    ("transaction_isolation", "read committed"),
];

/// The settings that `known` does not tell of.
pub(super) fn preset<'a>(known: impl Fn(&str) -> bool + 'a) -> impl Iterator<Item = (&'static str, &'static str)> + 'a {
    PRESET.into_iter().filter(move |(name, _)| !known(name))
}

/// The value of one of them.
pub(super) fn value(name: &str) -> Option<&'static str> {
    PRESET.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}
