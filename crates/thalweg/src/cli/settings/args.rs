//! The settings as flags and environment variables, and which file is read. It must not know what a value means.

use std::path::{Path, PathBuf};

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use thalweg_core::nearest;

use super::{Effective, Given, Kind, Origin, SETTINGS, Setting, file};

const EXAMPLES: &str =
    "Every flag is a key of thalweg.toml, too: a flag goes before the environment, that before the file.

Examples:
  thalweg serve                              in memory, on loopback
  thalweg serve --data ./data                what is created survives a restart
  thalweg serve --config prod.toml --check-config
                                             what would hold, and where each value is from
  psql -h localhost -p 4566 -d dev -U root   talk to it
  thalweg serve --pg 0.0.0.0:4566 --http 0.0.0.0:4567 --tls-certificate c.pem --tls-key k.pem
                                             other addresses need TLS, and a password for each user:
                                             ALTER USER root PASSWORD '…' on loopback first";

/// Variables of other commands.
const ELSEWHERE: [&str; 4] = ["THALWEG_CONFIG", "THALWEG_EPOCH_ROWS", "THALWEG_WALL_CLOCK", "THALWEG_QUIET"];

/// The arguments of `serve`.
#[derive(Clone, Debug)]
pub(crate) struct ServeArgs {
    /// From the environment, then from flags.
    given: Vec<Given>,
    config: Option<PathBuf>,
    /// Say what would hold, and start nothing.
    pub check_config: bool,
}

impl Setting {
    fn arg(&self) -> Arg {
        let default = format!("{} [default: {}]", self.help, self.default_text());
        let help = if self.default_text().is_empty() { self.help.to_owned() } else { default };
        let arg = Arg::new(self.key).long(self.key).value_name(self.value).env(self.variable()).hide_env_values(true);
        let arg = arg.help(help).help_heading(self.group);
        match self.kind {
            Kind::Flag => arg.num_args(0..=1).require_equals(true).default_missing_value("true"),
            Kind::List => arg.action(ArgAction::Append),
            Kind::Text | Kind::Number => arg,
        }
    }
}

impl Args for ServeArgs {
    fn augment_args(command: Command) -> Command {
        let config = Arg::new("config").long("config").value_name("FILE").env("THALWEG_CONFIG").hide_env_values(true);
        let check = Arg::new("check-config").long("check-config").action(ArgAction::SetTrue);
        command
            .arg(config.help("File of settings [default: ./thalweg.toml, if there is one]"))
            .arg(check.help("Prints the settings that would hold, with their origin, and starts nothing"))
            .args(SETTINGS.iter().map(Setting::arg))
            .after_help(EXAMPLES)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for ServeArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let of = |source: ValueSource| {
            SETTINGS.iter().enumerate().filter_map(move |(setting, s)| {
                let texts: Vec<&str> = matches.get_many::<String>(s.key)?.map(String::as_str).collect();
                let text = texts.join(",");
                let is_flag = source == ValueSource::CommandLine;
                let origin = if is_flag { Origin::Flag(s.key) } else { Origin::Environment(s.variable()) };
                // An empty variable is as good as none: that is how many tools take one back.
                let wanted = matches.value_source(s.key) == Some(source) && (is_flag || !text.is_empty());
                wanted.then_some(Given { setting, text, origin })
            })
        };
        Ok(Self {
            given: of(ValueSource::EnvVariable).chain(of(ValueSource::CommandLine)).collect(),
            config: matches.get_one::<String>("config").filter(|c| !c.is_empty()).map(PathBuf::from),
            check_config: matches.get_flag("check-config"),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl ServeArgs {
    /// The settings that hold.
    ///
    /// # Errors
    /// Everything that is wrong, each with its place and what to do.
    pub fn effective(&self) -> Result<Effective, Vec<String>> {
        let default = Path::new(file::DEFAULT);
        let path = self.config.as_deref().or_else(|| default.exists().then_some(default));
        let mut given = path.map_or_else(|| Ok(Vec::new()), file::read)?;
        given.extend(self.given.iter().cloned());
        Effective::resolve(&given)
    }
}

/// Variables that look like a slip of the finger, as `THALWEG_DTA`: nothing else would tell.
pub(crate) fn suspects() -> Vec<String> {
    let variables: Vec<&str> = SETTINGS.iter().map(Setting::variable).collect();
    let is_known = |name: &String| variables.iter().chain(&ELSEWHERE).any(|known| known == name);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names
        .filter(|name| name.starts_with("THALWEG_") && !is_known(name))
        .filter_map(|name| {
            let near = nearest(&name[8..], variables.iter().map(|v| &v[8..]))?;
            Some(format!("{name} is not a setting; did you mean THALWEG_{near}?"))
        })
        .collect()
}
