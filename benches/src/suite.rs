//! A group of figures as a program: lists what it has, or measures it by criterion.

use crate::{Case, Group, Kind, Place, Routine, Setting, Subject, Unit};
use criterion::{BenchmarkId, Criterion, SamplingMode};
use std::path::PathBuf;
use std::time::Duration;

/// The exit status that says: this one can't take part here, the reason is on standard output.
pub const MISSING: i32 = 3;

type Make<T> = Box<dyn Fn(&Setting) -> Result<T, String>>;

enum Maker {
    /// Makes what criterion then runs.
    Timed(Make<Routine>),
    /// Finds out a number.
    Value(Make<f64>),
}

/// A group's cases and participants, filled by its `main`.
///
/// ```text
/// suite.case("fork", "Process::fork and join", "...", Unit::Time, &[Place::Free])
///     .ours("fork", "Process::fork", |_| Ok(calls(...)))
///     .floor("raw", "fork, exit, wait", |_| Ok(calls(...)));
/// suite.run();
/// ```
pub struct Suite {
    group: Group,
    makers: Vec<Vec<Maker>>,
}

impl std::fmt::Debug for Suite {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Suite").field("group", &self.group).finish_non_exhaustive()
    }
}

impl Suite {
    /// An empty group.
    pub fn new(key: &str, title: &str, what: &str) -> Self {
        let group = Group { key: key.into(), title: title.into(), what: what.into(), cases: Vec::new() };
        Suite { group, makers: Vec::new() }
    }

    /// Adds a figure; who takes part is added to what this returns.
    pub fn case(&mut self, key: &str, title: &str, what: &str, unit: Unit, places: &[Place]) -> Entry<'_> {
        let case = Case {
            key: key.into(),
            title: title.into(),
            what: what.into(),
            unit,
            follows: false,
            subjects: Vec::new(),
        };
        self.group.cases.push(case);
        self.makers.push(Vec::new());
        Entry { suite: self, places: places.to_vec() }
    }

    /// Does what the command line asks for.
    ///
    /// - `--list`: prints the group as JSON.
    /// - `--only CASE/SUBJECT/PLACE [--samples N --warm-up MS --measure MS --data FOLDER --long]`: measures one.
    /// - `[WORDS...]`: measures all whose identifier holds one of the words (this is what `cargo bench` does).
    pub fn run(self) {
        let arguments = match Arguments::parse() {
            Ok(arguments) => arguments,
            Err(why) => {
                eprintln!("{why}");
                std::process::exit(2);
            }
        };
        if arguments.list {
            match serde_json::to_string(&self.group) {
                Ok(text) => println!("{text}"),
                Err(e) => panic!("the group can't be told: {e}"),
            }
            return;
        }
        let mut missing = false;
        for (case, makers) in self.group.cases.iter().zip(&self.makers) {
            for (subject, maker) in case.subjects.iter().zip(makers) {
                for &place in &subject.places {
                    let id = format!("{}/{}/{}", case.key, subject.key, place.key());
                    if arguments.wants(&id) {
                        if let Err(why) = self.measure(case, subject, place, maker, &arguments) {
                            println!("missing: {why}");
                            missing = true;
                        }
                    }
                }
            }
        }
        if missing && arguments.only.is_some() {
            std::process::exit(MISSING);
        }
    }

    fn measure(
        &self,
        case: &Case,
        subject: &Subject,
        place: Place,
        maker: &Maker,
        arguments: &Arguments,
    ) -> Result<(), String> {
        let setting = Setting::new(place, arguments.long).ok_or("this process may use only one CPU")?;
        let before = rustix::thread::sched_getaffinity(None).map_err(|e| format!("affinity: {e}"))?;
        setting.bind_caller();
        let done = match maker {
            Maker::Timed(make) => make(&setting).map(|mut routine| {
                // The first time is never counted, whatever criterion then does to warm up.
                let one = routine(1);
                match arguments.few(one) {
                    Some(samples) => few(samples, routine),
                    None => criterion(&self.group, case, subject, place, routine, arguments),
                }
            }),
            Maker::Value(find) => find(&setting).map(|value| println!("sample: {value}")),
        };
        rustix::thread::sched_setaffinity(None, &before).map_err(|e| format!("affinity: {e}"))?;
        done
    }
}

/// Samples of single iterations, for what is too heavy for the ten that criterion wants at least.
fn few(samples: usize, mut routine: Routine) {
    for _ in 0..samples {
        println!("sample: {}", routine(1).as_nanos());
    }
}

fn criterion(
    group: &Group,
    case: &Case,
    subject: &Subject,
    place: Place,
    mut routine: Routine,
    arguments: &Arguments,
) {
    let mut criterion = Criterion::default()
        .without_plots()
        .sample_size(arguments.samples)
        .warm_up_time(arguments.warm_up)
        .measurement_time(arguments.measure);
    if let Some(data) = &arguments.data {
        // The page takes the samples alone: criterion's own estimates by resampling would be time for nothing.
        criterion = criterion.output_directory(data).nresamples(1000);
    }
    let mut figure = criterion.benchmark_group(format!("{} {}", group.key, case.key));
    // Every sample does the same number of iterations: samples are then comparable, and none of them is a single
    // iteration in which a peer has only just woken up.
    figure.sampling_mode(SamplingMode::Flat);
    figure.bench_function(BenchmarkId::new(&subject.key, place.key()), |b| b.iter_custom(&mut routine));
    figure.finish();
}

/// A case that is being filled.
#[derive(Debug)]
pub struct Entry<'a> {
    suite: &'a mut Suite,
    places: Vec<Place>,
}

impl Entry<'_> {
    /// This project. `make` prepares (starts workers, opens channels) and returns what is measured.
    pub fn ours(
        self,
        key: &str,
        name: &str,
        make: impl Fn(&Setting) -> Result<Routine, String> + 'static,
    ) -> Self {
        self.push(key, name, Kind::Ours, Maker::Timed(Box::new(make)))
    }

    /// A library that does the same.
    pub fn rival(
        self,
        key: &str,
        name: &str,
        make: impl Fn(&Setting) -> Result<Routine, String> + 'static,
    ) -> Self {
        self.push(key, name, Kind::Rival, Maker::Timed(Box::new(make)))
    }

    /// The bare system call or instruction.
    pub fn floor(
        self,
        key: &str,
        name: &str,
        make: impl Fn(&Setting) -> Result<Routine, String> + 'static,
    ) -> Self {
        self.push(key, name, Kind::Floor, Maker::Timed(Box::new(make)))
    }

    /// A library that does it between threads.
    pub fn threads(
        self,
        key: &str,
        name: &str,
        make: impl Fn(&Setting) -> Result<Routine, String> + 'static,
    ) -> Self {
        self.push(key, name, Kind::Threads, Maker::Timed(Box::new(make)))
    }

    /// One that finds out a number by itself, once: for what is no time of an iteration.
    pub fn value(
        self,
        kind: Kind,
        key: &str,
        name: &str,
        find: impl Fn(&Setting) -> Result<f64, String> + 'static,
    ) -> Self {
        self.push(key, name, kind, Maker::Value(Box::new(find)))
    }

    /// This case is measured straight after the one before, with which it is compared.
    pub fn following(self) -> Self {
        if let Some(case) = self.suite.group.cases.last_mut() {
            case.follows = true;
        }
        self
    }

    /// Measures the one that was added last at these places only.
    pub fn at(self, places: &[Place]) -> Self {
        if let Some(subject) = self.suite.group.cases.last_mut().and_then(|case| case.subjects.last_mut()) {
            subject.places = places.to_vec();
        }
        self
    }

    fn push(self, key: &str, name: &str, kind: Kind, maker: Maker) -> Self {
        let subject = Subject { key: key.into(), name: name.into(), kind, places: self.places.clone() };
        if let (Some(case), Some(makers)) = (self.suite.group.cases.last_mut(), self.suite.makers.last_mut())
        {
            case.subjects.push(subject);
            makers.push(maker);
        }
        self
    }
}

struct Arguments {
    list: bool,
    only: Option<String>,
    words: Vec<String>,
    samples: usize,
    warm_up: Duration,
    measure: Duration,
    data: Option<PathBuf>,
    long: bool,
}

impl Arguments {
    fn parse() -> Result<Self, String> {
        let mut arguments = Arguments {
            list: false,
            only: None,
            words: Vec::new(),
            samples: 20,
            warm_up: Duration::from_millis(200),
            measure: Duration::from_millis(1000),
            data: None,
            long: false,
        };
        let mut given = std::env::args().skip(1);
        while let Some(word) = given.next() {
            let mut value = || given.next().ok_or_else(|| format!("{word} wants a value"));
            let number = |text: String| text.parse::<u64>().map_err(|e| format!("`{text}`: {e}"));
            match word.as_str() {
                // What `cargo bench` adds.
                "--bench" => {}
                "--list" => arguments.list = true,
                "--only" => arguments.only = Some(value()?),
                // Criterion refuses less than 10.
                "--samples" => arguments.samples = number(value()?)?.max(10) as usize,
                "--warm-up" => arguments.warm_up = Duration::from_millis(number(value()?)?.max(1)),
                "--measure" => arguments.measure = Duration::from_millis(number(value()?)?.max(1)),
                "--long" => arguments.long = true,
                "--data" => arguments.data = Some(value()?.into()),
                option if option.starts_with('-') => return Err(format!("there is no option {option}")),
                _ => arguments.words.push(word),
            }
        }
        Ok(arguments)
    }

    /// How many samples to take by hand: where criterion's would take four times the time that there is. Not when a
    /// person looks on, who gets criterion's own words for it.
    fn few(&self, one: Duration) -> Option<usize> {
        let heavy = self.data.is_some() && one * self.samples as u32 > self.measure * 4;
        heavy.then(|| (2.0 * self.measure.as_secs_f64() / one.as_secs_f64()).ceil().max(3.0) as usize)
    }

    fn wants(&self, id: &str) -> bool {
        match &self.only {
            Some(only) => only == id,
            None => self.words.is_empty() || self.words.iter().any(|word| id.contains(word.as_str())),
        }
    }
}
