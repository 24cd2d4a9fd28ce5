//! A conversation: questions and answers, a password at a prompt, and a wait that is given up and taken up again.
//!
//! `cargo run -p proc-exec --example conversation`
//!
//! Prints:
//!
//! ```text
//! 6 * 7 = 42
//! 2 + 2 = 4
//! the calculator exited with code 0
//! the prompt was `password: `
//! welcome
//! no answer yet, after {}
//! then all of it: half, and the other half
//! ```

use proc_exec::Command;
use std::error::Error;
use std::time::Duration;

/// Far more than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn Error>> {
    // Line by line: what is asked is answered before the next question.
    let mut calculator = Command::shell("while read sum; do echo $(($sum)); done").interactive()?;
    for question in ["6 * 7", "2 + 2"] {
        calculator.write_line(question)?;
        let answer = calculator.read_line_timeout(PATIENCE)?.ok_or("it has gone")?;
        println!("{question} = {answer}");
    }
    println!("the calculator {}", calculator.finish()?.status);

    // A prompt has no end of a line: it is waited for as it is.
    let login = "printf 'password: '; read word; [ \"$word\" = sesame ] && echo welcome";
    let mut login = Command::shell(login).interactive()?;
    let prompt = login.read_until(": ", PATIENCE)?.ok_or("it never asked")?;
    println!("the prompt was `{}`", String::from_utf8_lossy(&prompt));
    login.write_line("sesame")?;
    println!("{}", login.finish()?.text()?.trim());

    // A time-out of `communicate` ends nothing, and nothing is lost by it.
    let slow = Command::shell("cat; sleep 0.5; echo ', and the other half'").interactive()?;
    if let Err(error) = slow.communicate("half", Duration::from_millis(50)) {
        assert!(error.is_timeout() && error.is_still_running());
        println!("no answer yet, after {:.0?}", error.output().ok_or("nothing was started")?.duration);
    }
    println!("then all of it: {}", slow.communicate("", PATIENCE)?.text()?.trim());
    Ok(())
}
