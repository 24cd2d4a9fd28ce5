//! A lock that two processes want all the time.

use crate::bare::{Futex, Guarded, Pthread, RawLock};
use crate::meeting::Meeting;
use crate::python;
use benches::{Peer, Place, Routine, Setting, Suite, Unit, our_peer};
use proc_shm::Mutex;

pub(crate) fn register(suite: &mut Suite) {
    let entry = suite
        .case(
            "contended",
            "Lock, add one, unlock: two processes at once",
            "The same number, increased by two processes as fast as they can: the time of both, divided by all \
             increments.",
            Unit::Time,
            &Place::ALL,
        )
        .ours("mutex", "Mutex<u64>", mutex)
        .floor("futex", "futex mutex, not robust", both::<Futex>)
        .floor("pthread", "pthread mutex, shared", both::<Pthread<false>>)
        .floor("robust", "pthread mutex, shared and robust", both::<Pthread<true>>);
    #[cfg(feature = "rivals")]
    let entry = entry.threads("parking_lot", "parking_lot Mutex", parking_lot);
    entry.rival("python", "Python Value, get_lock()", python("contended"));
}

fn mutex(setting: &Setting) -> Result<Routine, String> {
    let mutex = Mutex::new(0_u64).map_err(|e| e.to_string())?;
    let add = |mutex: &Mutex<u64>, n: u64| {
        for _ in 0..n {
            *mutex.lock().expect("a living owner") += 1;
        }
    };
    let meeting = Meeting::new();
    let peer = our_peer(setting, mutex.clone(), move |mutex| meeting.serve(|n| add(&mutex, n)))?;
    Ok(meeting.routine(peer, move |n| add(&mutex, n)))
}

fn both<L: RawLock>(setting: &Setting) -> Result<Routine, String> {
    let guarded = Guarded::<L>::new();
    let add = |n: u64| (0..n).for_each(|_| guarded.add());
    let meeting = Meeting::new();
    let peer = Peer::fork(setting, || meeting.serve(add));
    let mut counted = meeting.routine(peer, add);
    let mut expected = 0;
    Ok(Box::new(move |n| {
        let time = counted(n);
        expected += n;
        assert_eq!(guarded.get(), expected, "an increment was lost");
        time
    }))
}

#[cfg(feature = "rivals")]
fn parking_lot(setting: &Setting) -> Result<Routine, String> {
    static MUTEX: parking_lot::Mutex<u64> = parking_lot::Mutex::new(0);
    let add = |n: u64| (0..n).for_each(|_| *MUTEX.lock() += 1);
    let (meeting, setting) = (Meeting::new(), *setting);
    std::thread::spawn(move || {
        setting.bind_peer();
        meeting.serve(add);
    });
    Ok(meeting.routine(End(meeting), add))
}

/// Ends the thread that serves.
#[cfg(feature = "rivals")]
struct End(&'static Meeting);

#[cfg(feature = "rivals")]
impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}
