//! Lines of a program as they come, under a limit of time that holds; what it has said by then is kept.
//!
//! Prints:
//!
//! ```text
//! frame 1
//! frame 2
//! frame 3
//! so far: started
//! stopped from another thread: killed by signal 15 (SIGTERM)
//! 6 * 7 = 42
//! the calculator exited with code 0
//! ```

use multiprocess::{RemoteError, cmd};
use std::thread;
use std::time::Duration;

const CALCULATOR: &str = r#"while read a b; do echo $((a * b)); done"#;

fn main() -> Result<(), RemoteError> {
    for line in
        cmd!("sh", "-c", "for i in 1 2 3; do echo frame=$i; done").timeout(Duration::from_secs(60)).lines()?
    {
        if let Some(number) = line?.strip_prefix("frame=") {
            println!("frame {number}");
        }
    }

    // The shell and what it has started are gone when this returns.
    match cmd!("sh", "-c", "echo started; sleep 100").timeout(Duration::from_millis(300)).run() {
        Err(e) if e.is_timeout() => {
            println!("so far: {}", e.output().map_or("".into(), |output| output.text_lossy()).trim());
        }
        Err(e) => return Err(e.into()),
        Ok(output) => println!("done within the limit: {}", output.text()?),
    }

    let sleeping = cmd!("sleep", "100").unchecked().spawn()?;
    let stop = sleeping.clone();
    let stopper = thread::spawn(move || stop.terminate());
    println!("stopped from another thread: {}", sleeping.wait()?.status);
    stopper.join().map_err(|_| "the thread that stops it has panicked")??;

    let mut calculator = cmd!("sh", "-c", CALCULATOR).interactive()?;
    calculator.write_line("6 7")?;
    let answer = calculator.read_line_timeout(Duration::from_secs(60))?;
    println!("6 * 7 = {}", answer.as_deref().unwrap_or("no answer"));
    println!("the calculator {}", calculator.finish()?.status);
    Ok(())
}
