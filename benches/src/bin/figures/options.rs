//! The command line.

use std::path::PathBuf;

/// What is asked for.
pub(crate) struct Options {
    /// Where the page goes.
    pub(crate) out: PathBuf,
    /// The groups' programs.
    pub(crate) programs: Vec<PathBuf>,
    /// One short round within three minutes, instead of three long ones.
    pub(crate) quick: bool,
    /// A page of results that were kept, instead of new ones.
    pub(crate) from: Option<PathBuf>,
    /// What could not be built, if anything.
    pub(crate) unbuilt: Option<String>,
    /// The command as a person would type it.
    pub(crate) command: String,
}

impl Options {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut options = Options {
            out: "target/bench".into(),
            programs: Vec::new(),
            quick: false,
            from: None,
            unbuilt: None,
            command: "cargo xtask bench".into(),
        };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            match word.as_str() {
                "--out" => options.out = value()?.into(),
                "--quick" => options.quick = true,
                "--from" => options.from = Some(value()?.into()),
                "--unbuilt" => options.unbuilt = Some(value()?),
                "--command" => options.command = value()?,
                option if option.starts_with('-') => return Err(format!("there is no option {option}")),
                _ => options.programs.push(word.into()),
            }
        }
        if options.programs.is_empty() && options.from.is_none() {
            return Err("no group to run".into());
        }
        Ok(options)
    }
}
