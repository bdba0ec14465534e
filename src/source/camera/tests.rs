//! The dequeue loop, driven through a device at the seam of the ioctls.

use super::fake::{Event, FakeDevice};
use super::*;
use Event::*;

const EIO: i32 = 5;
const ENODEV: i32 = 19;

/// A grey frame of 2 x 2 pixels.
fn frame(sequence: u32) -> Event {
    Frame(sequence, vec![sequence as u8; 4])
}

struct Outcome {
    frames: Vec<u8>,
    error: Option<Error>,
    counts: super::super::SourceCounts,
}

fn options(stall: Duration) -> CameraOptions {
    CameraOptions { size: (2, 2), format: None, stall }
}

/// All frames up to the end or the first error.
fn play(events: impl IntoIterator<Item = Event>) -> Outcome {
    let stop = Stop::default();
    let mut device = FakeDevice::offering(&[(b"GREY", &[(2, 2)])]);
    (device.events, device.stop) = (events.into_iter().collect::<std::collections::VecDeque<_>>().into(), stop.clone());
    let counters = Counters::default();
    let options = options(Duration::from_secs(1));
    let mut stream = Stream::start(device, Path::new("/dev/fake"), &options, &stop, counters.clone()).unwrap();
    let (mut frames, mut frame) = (Vec::new(), RawFrame::default());
    let error = loop {
        match stream.next_raw(&mut frame) {
            Ok(true) => frames.push(frame.bytes[0]),
            Ok(false) => break None,
            Err(error) => break Some(error),
        }
        assert!(stream.device.is_queued.iter().all(|is_queued| *is_queued), "a buffer was kept");
    };
    Outcome { frames, error, counts: counters.counts() }
}

#[test]
fn the_newest_of_what_is_ready_is_given() {
    let outcome = play([frame(0), Silence, frame(1), frame(2), frame(3), Silence, frame(4), StopAsked]);
    assert_eq!(outcome.frames, [0, 3, 4]);
    assert!(outcome.error.is_none());
    assert_eq!((outcome.counts.received, outcome.counts.dropped), (5, 2));
}

#[test]
fn when_all_buffers_were_full_the_next_frame_is_waited_for() {
    let outcome = play([frame(0), frame(1), frame(2), frame(3), Silence, frame(9), StopAsked]);
    assert_eq!(outcome.frames, [9]);
    // Four old ones, and five that the driver had no buffer for.
    assert_eq!((outcome.counts.received, outcome.counts.dropped), (10, 9));
}

#[test]
fn false_alarms_damaged_and_short_buffers_are_passed_over() {
    let short = Frame(2, vec![2; 3]);
    let outcome = play([FalseAlarm, frame(0), FalseAlarm, Damaged(1), Silence, short, Silence, frame(3), StopAsked]);
    assert_eq!(outcome.frames, [0, 3]);
    assert_eq!((outcome.counts.received, outcome.counts.dropped), (4, 2));
}

#[test]
fn an_unplugged_camera_is_lost() {
    for code in [ENODEV, EIO] {
        let outcome = play([frame(0), Silence, Failure(code)]);
        assert_eq!(outcome.frames, [0]);
        assert!(matches!(outcome.error, Some(Error::CameraLost { .. })), "{:?}", outcome.error);
    }
    // Also in the middle of looking for a newer frame.
    assert!(play([frame(0), Failure(ENODEV)]).error.is_some());
}

#[test]
fn silence_is_a_loss_after_the_stall_time() {
    let outcome = play([frame(0)].into_iter().chain([(); 9].map(|()| Silence)).chain([frame(1)]));
    assert_eq!(outcome.frames, [0, 1], "900 ms of silence are borne");
    let message = outcome.error.unwrap().to_string();
    assert!(message.contains("no frame for 1.0s"), "{message}");
}

#[test]
fn a_device_that_only_wakes_or_only_gives_damage_is_lost() {
    assert!(play((0..2 * MAX_EMPTY_WAKES).map(|_| FalseAlarm)).error.is_some());
    let damage = (0..MAX_BROKEN_FRAMES + 1).flat_map(|number| [Damaged(number), Silence]);
    assert!(play(damage).error.unwrap().to_string().contains("damaged"));
}

#[test]
fn a_driver_that_does_not_count_has_lost_nothing() {
    let same = || Frame(0, vec![7; 4]);
    let outcome = play([same(), Silence, same(), Silence, same(), StopAsked]);
    assert_eq!((outcome.frames.len(), outcome.counts.received, outcome.counts.dropped), (3, 3, 0));
}

#[test]
fn what_cannot_be_started_is_refused_with_a_remedy() {
    type Change<'a> = &'a dyn Fn(&mut FakeDevice);
    let refusal = |change: Change| {
        let mut device = FakeDevice::offering(&[(b"GREY", &[(2, 2)])]);
        change(&mut device);
        let options = options(Duration::from_secs(1));
        Stream::start(device, Path::new("/dev/fake"), &options, &Stop::default(), Counters::default())
            .err()
            .unwrap()
            .to_string()
    };
    const EBUSY: i32 = 16;
    let cases: [(Change, &str); 4] = [
        (&|device| device.start_error = Some(EBUSY), "another program"),
        (&|device| device.capability.driver = "rp1-cfe".into(), "rpicam"),
        (&|device| device.capability.captures = false, "does not capture"),
        (&|device| *device = FakeDevice::offering(&[(b"H264", &[(2, 2)])]), "H264"),
    ];
    for (change, expected) in cases {
        let message = refusal(change);
        assert!(message.contains(expected) && message.contains("/dev/fake"), "{message}");
    }
    let denied = open_error(Path::new("/dev/video0"), io::ErrorKind::PermissionDenied.into()).to_string();
    assert!(denied.contains("group `video`"), "{denied}");
}
