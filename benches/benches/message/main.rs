//! Messages between processes.

mod bulk;
#[cfg(feature = "rivals")]
mod iceoryx;
#[cfg(feature = "rivals")]
mod ipc;
mod one_way;
mod queue;
mod round_trip;
mod socket;
mod tally;
#[cfg(feature = "rivals")]
mod threads;

use benches::{Python, Routine, Setting, Suite};

fn main() {
    proc_core::init();
    let mut suite = Suite::new(
        "message",
        "Messages",
        "Two processes that are already up, or as many as a figure says, exchange messages. Every message is waited for \
         and counted: who drops one fails. On two CPUs a channel that sleeps for each message pays for a wake-up of \
         the other CPU, and one that only spins pays for it on one CPU: look at all three places.",
    );
    round_trip::register(&mut suite);
    one_way::register(&mut suite);
    bulk::register(&mut suite);
    queue::register(&mut suite);
    suite.run();
}

/// A kind of use that `message.py` knows, with messages of this size.
fn python(kind: &'static str, size: usize) -> impl Fn(&Setting) -> Result<Routine, String> + 'static {
    move |setting| Python::routine("message.py", &[kind, &size.to_string()], setting)
}
