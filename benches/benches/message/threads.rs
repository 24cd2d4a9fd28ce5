//! crossbeam-channel between threads of one process.

use crate::tally::Tally;
use benches::{Routine, Setting, calls};
use crossbeam_channel::bounded;

pub(crate) fn round_trip(setting: &Setting) -> Result<Routine, String> {
    let (there, take) = bounded::<u64>(16);
    let (give, back) = bounded::<u64>(16);
    let setting = *setting;
    // It ends when `there` is dropped.
    std::thread::spawn(move || {
        setting.bind_peer();
        for number in take {
            if give.send(number).is_err() {
                return;
            }
        }
    });
    let mut i = 0;
    Ok(calls(move || {
        i += 1;
        there.send(i).expect("a receiver");
        assert_eq!(back.recv().expect("an answer"), i);
    }))
}

/// Each message is a vector that is made for it, and only its address crosses.
pub(crate) fn bulk(setting: &Setting, size: usize) -> Result<Routine, String> {
    let (sender, receiver) = bounded::<Vec<u8>>(4);
    let (tally, setting) = (Tally::new(), *setting);
    std::thread::spawn(move || {
        setting.bind_peer();
        for message in receiver {
            assert_eq!(message.len(), size);
            tally.count(0);
        }
    });
    let message = vec![7; size];
    Ok(tally.routine((), move || sender.send(message.clone()).expect("a receiver")))
}

pub(crate) fn many(setting: &Setting, senders: usize, receivers: usize) -> Result<Routine, String> {
    let (sender, receiver) = bounded::<[u64; 8]>(1024);
    let (tally, setting) = (Tally::new(), *setting);
    for i in 0..receivers {
        let receiver = receiver.clone();
        std::thread::spawn(move || {
            setting.bind_peer();
            for message in receiver {
                std::hint::black_box(message);
                tally.count(i);
            }
        });
    }
    for _ in 1..senders {
        let sender = sender.clone();
        // It ends with the program.
        std::thread::spawn(move || {
            setting.beside_caller().bind_peer();
            tally.send_asked(|| sender.send([7; 8]).expect("a receiver"));
        });
    }
    Ok(tally.routine_of(senders as u64, (), move || sender.send([7; 8]).expect("a receiver")))
}
