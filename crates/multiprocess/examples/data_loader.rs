//! A data loader: workers fill the slots of one shared array, and only the numbers of the slots travel.
//!
//! Prints:
//!
//! ```text
//! 64 samples, labels add up to 2016, pixels to 387072
//! parts: [0.0, 1.0, 2.0, 3.0]
//! ```

use multiprocess::{Array, Part, Pool, Process, Queue, RemoteError};
use serde::{Deserialize, Serialize};

/// Numbers in one sample: three colours of 8 by 8 pixels.
const SAMPLE: usize = 3 * 8 * 8;
const SLOTS: usize = 8;
const SAMPLES: u32 = 64;

/// What every worker gets once: the slots, each with a lock of its own, and the numbers of those that are free.
#[derive(Serialize, Deserialize)]
struct Loader {
    slots: Vec<Part<f32>>,
    free: Queue<usize>,
}

impl Loader {
    /// Decodes a sample into a free slot; gives the slot and the label.
    fn load(&self, sample: u32) -> Result<(usize, u32), RemoteError> {
        let slot = self.free.get()?;
        decode(sample, &mut self.slots[slot].lock()?);
        Ok((slot, sample))
    }
}

/// Stands for reading an image.
fn decode(sample: u32, pixels: &mut [f32]) {
    pixels.fill(sample as f32);
}

fn fill((number, part): (usize, Part<f32>)) -> Result<(), RemoteError> {
    part.lock()?.fill(number as f32);
    Ok(())
}

fn main() -> Result<(), RemoteError> {
    multiprocess::init();
    let pixels = Array::<f32>::zeroed(SLOTS * SAMPLE)?;
    let free = Queue::bounded(SLOTS)?;
    for slot in 0..SLOTS {
        free.put(slot)?;
    }
    let pool = Pool::new(4)?;
    let loading = pool.with(Loader { slots: pixels.parts(SLOTS), free: free.clone() });
    let slots = pixels.parts(SLOTS);

    let (mut count, mut labels, mut sum) = (0, 0, 0.0);
    for loaded in loading.imap_unordered(|loader, sample| loader.load(sample), 0..SAMPLES) {
        let (slot, label) = loaded??;
        sum += slots[slot].lock()?.iter().sum::<f32>();
        labels += label;
        count += 1;
        free.put(slot)?; // the next sample may go there
    }
    println!("{count} samples, labels add up to {labels}, pixels to {sum}");

    // Processes that fill one array side by side, without waiting for each other.
    let array = Array::<f32>::zeroed(4)?;
    let processes = array
        .parts(4)
        .into_iter()
        .enumerate()
        .map(|numbered| Process::spawn(fill, numbered))
        .collect::<Result<Vec<_>, _>>()?;
    for process in processes {
        process.join()??;
    }
    let parts =
        array.parts(4).iter().map(|part| Ok(part.lock()?[0])).collect::<Result<Vec<f32>, RemoteError>>()?;
    println!("parts: {parts:?}");
    Ok(())
}
