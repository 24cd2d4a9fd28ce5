//! Runs the groups of figures and makes the page of them. `cargo xtask bench` builds everything and calls this.

mod machine;
mod options;
mod page;
mod plot;
mod results;
mod run;
mod stats;
mod summary;
mod targets;
mod verdict;

use options::Options;
use std::error::Error;
use std::fs;

fn main() -> Result<(), Box<dyn Error>> {
    let options = match Options::parse(std::env::args().skip(1)) {
        Ok(options) => options,
        Err(why) => {
            eprintln!("figures: {why}");
            std::process::exit(2);
        }
    };
    fs::create_dir_all(&options.out)?;
    let results = match &options.from {
        Some(file) => serde_json::from_slice(&fs::read(file)?)?,
        None => run::all(&options)?,
    };
    let write = |name: &str, text: &str| {
        let path = options.out.join(name);
        fs::write(&path, text).map(|()| path)
    };
    write("results.json", &serde_json::to_string_pretty(&results)?)?;
    let summary = summary::markdown(&results);
    print!("{summary}");
    let table = write("summary.md", &summary)?;
    let page = write("index.html", &page::html(&results)?)?;
    eprintln!("\nwritten: {} and {}", page.display(), table.display());
    Ok(())
}
