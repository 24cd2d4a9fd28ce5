//! An async service that awaits the tasks of a pool: they are futures, and need no runtime in particular.
//!
//! Prints:
//!
//! ```text
//! quick brown fox: 3 words
//! hello: 1 word
//! a crash: the worker died, the service did not
//! too slow: given up after its limit
//! again: 1 word
//! ```

use multiprocess::{Pool, RemoteError, TaskError};
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// Runs in a worker: may take long, or crash, without harm to the service.
fn count_words(text: String) -> usize {
    match text.as_str() {
        "a crash" => std::process::abort(),
        "too slow" => std::thread::sleep(Duration::from_secs(600)),
        _ => {}
    }
    text.split_whitespace().count()
}

async fn answer(pool: &Pool, line: String) -> String {
    // A limit for this task alone. (`tokio::time::timeout` around the task, and `task.kill()`, does the same by hand.)
    match pool.timeout(Duration::from_millis(500)).submit(count_words, line).await {
        Ok(1) => "1 word\n".to_string(),
        Ok(words) => format!("{words} words\n"),
        Err(TaskError::WorkerDied { .. }) => "the worker died, the service did not\n".to_string(),
        Err(TaskError::TimedOut) => "given up after its limit\n".to_string(),
        Err(e) => format!("{e}\n"),
    }
}

async fn serve(listener: TcpListener, pool: Pool) -> std::io::Result<()> {
    loop {
        let (mut stream, _) = listener.accept().await?;
        let pool = pool.clone();
        tokio::spawn(async move {
            let (reader, mut writer) = stream.split();
            let mut lines = BufReader::new(reader).lines();
            while let Some(line) = lines.next_line().await? {
                writer.write_all(answer(&pool, line).await.as_bytes()).await?;
            }
            std::io::Result::Ok(())
        });
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run() -> Result<(), RemoteError> {
    let pool = Pool::new(2)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, pool));

    let mut client = BufReader::new(TcpStream::connect(address).await?);
    for line in ["quick brown fox", "hello", "a crash", "too slow", "again"] {
        client.write_all(format!("{line}\n").as_bytes()).await?;
        let mut reply = String::new();
        client.read_line(&mut reply).await?;
        print!("{line}: {reply}");
    }
    Ok(())
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init(); // first, while there is one thread
    run() // the runtime after it
}
