//! A job queue: a channel of jobs, four workers, a channel of outcomes, and an end that needs no last message.
//!
//! Prints:
//!
//! ```text
//! 99 jobs done, 1 failed
//! job 13 failed: no such user: user13
//! 4 workers did 100 jobs
//! ```

use multiprocess::{Process, Receiver, RemoteError, Sender, channel};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Serialize, Deserialize)]
enum Job {
    Resize { width: u32, height: u32 },
    Mail { to: String },
}

#[derive(Debug, Serialize, Deserialize)]
struct Done {
    id: u64,
    /// Any error crosses as a `RemoteError`: its text, its chain of causes, its kind.
    outcome: Result<String, RemoteError>,
}

fn handle(job: Job) -> Result<String, String> {
    match job {
        Job::Resize { width, height } => Ok(format!("{} pixels", width * height)),
        Job::Mail { to } if to == "user13" => Err(format!("no such user: {to}")),
        Job::Mail { to } => Ok(format!("sent to {to}")),
    }
}

fn worker((jobs, done): (Receiver<(u64, Job)>, Sender<Done>)) -> Result<usize, RemoteError> {
    let mut count = 0;
    // Ends when every sender of jobs is gone. A sender that was killed is an error here, not an end.
    for job in &jobs {
        let (id, job) = job?;
        done.send(Done { id, outcome: handle(job).map_err(RemoteError::new) })?;
        count += 1;
    }
    Ok(count)
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let (jobs, jobs_receiver) = channel(1000)?;
    let (done_sender, done) = channel(1000)?;
    let workers = (0..4)
        .map(|_| Process::spawn(worker, (jobs_receiver.clone(), done_sender.clone())))
        .collect::<Result<Vec<_>, _>>()?;
    // What is held here would keep the channels open.
    drop((jobs_receiver, done_sender));

    for id in 0..100 {
        let job = match id % 2 {
            0 => Job::Resize { width: 640, height: 480 },
            _ => Job::Mail { to: format!("user{id}") },
        };
        if let Err(e) = jobs.send_timeout((id, job), Duration::from_secs(60)) {
            // The job comes back with the error.
            return Err(format!("the workers take no jobs; {:?} is left", e.into_inner()).into());
        }
    }
    drop(jobs);

    let outcomes =
        done.into_iter().map(|d| d.map(|d| (d.id, d.outcome))).collect::<Result<BTreeMap<_, _>, _>>()?;
    let failed: Vec<_> = outcomes.iter().filter_map(|(id, o)| Some((id, o.as_ref().err()?))).collect();
    println!("{} jobs done, {} failed", outcomes.len() - failed.len(), failed.len());
    for (id, e) in failed {
        println!("job {id} failed: {e}");
    }
    let mut total = 0;
    for worker in workers {
        total += worker.join()??;
    }
    println!("4 workers did {total} jobs");
    Ok(())
}
