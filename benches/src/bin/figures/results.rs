//! What was found, as it is kept in `results.json`.

use crate::machine::Machine;
use benches::{Case, Group, Place, Subject};
use serde::{Deserialize, Serialize};

/// A whole run.
#[derive(Serialize, Deserialize)]
pub(crate) struct Results {
    pub(crate) machine: Machine,
    pub(crate) command: String,
    pub(crate) quick: bool,
    pub(crate) rounds: usize,
    /// What could not be built, if anything.
    pub(crate) unbuilt: Option<String>,
    pub(crate) groups: Vec<Group>,
    pub(crate) figures: Vec<Figure>,
}

/// One participant at one place.
#[derive(Serialize, Deserialize)]
pub(crate) struct Figure {
    pub(crate) group: String,
    pub(crate) case: String,
    pub(crate) subject: String,
    pub(crate) place: Place,
    /// The cost of an iteration, in criterion's samples of all rounds.
    pub(crate) samples: Vec<f64>,
    /// Why there are none, or fewer rounds of them: not here, failed, or killed by its time limit.
    pub(crate) trouble: Option<Trouble>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum Trouble {
    /// It can't take part on this machine.
    Missing(String),
    /// It ended with an error.
    Failed(String),
    /// It was killed after so many seconds.
    Hung(u64),
    /// `--quick` had no time left for it.
    Skipped,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Trouble::Missing(why) => write!(f, "not here: {why}"),
            Trouble::Failed(why) => write!(f, "failed: {why}"),
            Trouble::Hung(seconds) => write!(f, "hung: killed after {seconds} s"),
            Trouble::Skipped => f.write_str("not run: the quick form had no time left"),
        }
    }
}

impl Figure {
    /// Its name within its group.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}/{}", self.case, self.subject, self.place.key())
    }
}

impl Results {
    /// Each reason why something was not measured, and the figures that it struck.
    pub(crate) fn troubles(&self) -> Vec<(String, Vec<String>)> {
        let mut troubles: Vec<(String, Vec<String>)> = Vec::new();
        for figure in &self.figures {
            let Some(trouble) = &figure.trouble else { continue };
            let (why, name) = (trouble.to_string(), format!("{} {}", figure.group, figure.id()));
            match troubles.iter_mut().find(|(known, _)| *known == why) {
                Some((_, names)) => names.push(name),
                None => troubles.push((why, vec![name])),
            }
        }
        troubles
    }

    /// A participant's figure at a place, if it was to be measured there.
    pub(crate) fn figure(
        &self,
        group: &Group,
        case: &Case,
        subject: &Subject,
        place: Place,
    ) -> Option<&Figure> {
        self.figures.iter().find(|figure| {
            figure.group == group.key
                && figure.case == case.key
                && figure.subject == subject.key
                && figure.place == place
        })
    }
}
