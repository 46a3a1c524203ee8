//! Many processes with one embedded store, some of which are killed in the middle of what they do. Each is this
//! program again, which says on stdout what the store has acknowledged.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use camelpost::config::{StorePlace, StoreSetting};
use camelpost::server::open_store;
use camelpost::store::{Backend, Change, Changed, Kind, Pending, StoreError};
use camelpost_support::random::Random;
use tokio::sync::oneshot;

pub const TESTS: &[super::Test] = &[
    ("processes_that_count_lose_nothing", counting),
    ("what_was_acknowledged_outlives_a_kill", killed),
    ("a_lock_of_the_dead_is_taken_over", dead_writer),
    ("readers_that_were_killed_keep_no_room", dead_readers),
    ("a_store_without_room_says_so_and_can_be_read", full),
    ("what_is_expired_makes_room", swept),
];

const NAME: &[u8] = b"name";

fn open(dir: &Path, size: u64) -> Backend {
    let setting = StoreSetting {
        is_named: true,
        place: StorePlace::Embedded {
            dir: dir.to_path_buf(),
            size,
        },
    };
    Backend::new(&setting, open_store).unwrap()
}

fn change(
    store: &Backend,
    key: &str,
    decide: impl Fn(Option<&[u8]>) -> Change + Send + 'static,
) -> Result<Changed, StoreError> {
    let Kind::Embedded(embedded) = &store.kind else {
        panic!("it is embedded");
    };
    let (done, mut answer) = oneshot::channel();
    let pending = Pending {
        key: key.as_bytes().to_vec(),
        decide: Box::new(decide),
        done,
    };
    if let Some(job) = embedded.change(NAME, pending)? {
        job();
    }
    answer.try_recv().unwrap()
}

fn get(store: &Backend, key: &str) -> Option<Vec<u8>> {
    store.get_now(NAME, &[key.into()]).unwrap().pop().unwrap()
}

fn number(value: Option<&[u8]>) -> u64 {
    value.map_or(0, |value| {
        String::from_utf8(value.to_vec()).unwrap().parse().unwrap()
    })
}

fn increment(store: &Backend, key: &str) -> u64 {
    let next = |old: Option<&[u8]>| {
        let next = number(old) + 1;
        Change::Set(next.to_string().into_bytes(), None)
    };
    number(change(store, key, next).unwrap().after.as_deref())
}

/// What a process of the test's does.
pub fn child(args: &[String]) -> ExitCode {
    let store = open(Path::new(&args[1]), 64 << 20);
    match &args[0][..] {
        "count" => (0..200).for_each(|_| {
            increment(&store, "count");
        }),
        "write" => loop {
            let count = increment(&store, "count");
            let value = count.to_string().repeat(50).into_bytes();
            let key = format!("key {count}");
            change(&store, &key, move |_| Change::Set(value.clone(), None)).unwrap();
            println!("{count}");
        },
        "read" => {
            println!("ready");
            loop {
                assert!(!store.keys_now(NAME).unwrap().is_empty());
            }
        }
        "hang" => {
            let hang = |_: Option<&[u8]>| {
                println!("in");
                loop {
                    std::thread::sleep(Duration::from_secs(1));
                }
            };
            change(&store, "count", hang).unwrap();
        }
        other => panic!("{other}"),
    }
    ExitCode::SUCCESS
}

/// One of them, and what it says.
struct Process {
    child: Child,
    said: BufReader<ChildStdout>,
}

impl Process {
    fn start(what: &str, dir: &Path) -> Process {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["child", what]).arg(dir);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        Process { child, said }
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        line
    }

    /// Kills it, and gives what it has said since.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let mut rest = String::new();
        self.said.read_to_string(&mut rest).unwrap();
        rest
    }

    fn succeeds(mut self) {
        assert!(self.child.wait().unwrap().success());
    }
}

fn counting() {
    let dir = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..4)
        .map(|_| Process::start("count", dir.path()))
        .collect();
    let store = open(dir.path(), 64 << 20);
    for _ in 0..100 {
        increment(&store, "count");
    }
    children.into_iter().for_each(Process::succeeds);
    assert_eq!(number(get(&store, "count").as_deref()), 900);
}

fn killed() {
    let dir = tempfile::tempdir().unwrap();
    let mut random = Random::new(5);
    let store = open(dir.path(), 64 << 20);
    let mut all = 0;
    for round in 0..20 {
        // Two at once: one may die while the other waits for it.
        let mut both = [(); 2].map(|()| Process::start("write", dir.path()));
        let mut said = both.each_mut().map(Process::line).concat();
        std::thread::sleep(Duration::from_micros(random.within(0..40_000) as u64));
        said += &both.map(Process::kill).concat();
        let count = number(get(&store, "count").as_deref());
        for told in said.lines() {
            let number: u64 = told.parse().unwrap();
            assert!(
                number <= count,
                "round {round}: {told} was told, {count} is stored"
            );
            let value = get(&store, &format!("key {told}"));
            assert_eq!(value, Some(told.repeat(50).into_bytes()), "round {round}");
            all += 1;
        }
    }
    assert!(all > 100, "{all} were told");
    let last = number(get(&store, "count").as_deref());
    // What another process finds, which opens it anew, is whole: each value is that of its key.
    Process::start("count", dir.path()).succeeds();
    assert_eq!(number(get(&store, "count").as_deref()), last + 200);
    let keys = store.keys_now(NAME).unwrap();
    for key in keys.iter().filter(|key| key.starts_with(b"key ")) {
        let value = store.get_now(NAME, std::slice::from_ref(key)).unwrap();
        assert_eq!(value[0].as_deref().unwrap(), key[4..].repeat(50));
    }
}

fn dead_writer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 64 << 20);
    assert_eq!(increment(&store, "count"), 1);
    for count in 2..5 {
        let mut holder = Process::start("hang", dir.path());
        assert_eq!(holder.line(), "in\n");
        // Reading waits for nobody.
        assert_eq!(number(get(&store, "count").as_deref()), count - 1);
        holder.kill();
        let begun = Instant::now();
        assert_eq!(increment(&store, "count"), count);
        assert!(begun.elapsed() < Duration::from_secs(5));
    }
}

fn dead_readers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 64 << 20);
    for at in 0..500 {
        let key = format!("key {at}");
        change(&store, &key, |_| Change::Set(vec![b'x'; 100], None)).unwrap();
    }
    let mut random = Random::new(7);
    for _ in 0..5 {
        let mut reader = Process::start("read", dir.path());
        assert_eq!(reader.line(), "ready\n");
        std::thread::sleep(Duration::from_micros(random.within(5000..25_000) as u64));
        reader.kill();
    }
    for _ in 0..4000 {
        increment(&store, "count");
    }
    // Each of these took three pages or more, had nobody used those before it again.
    let size = fs::metadata(dir.path().join("data.mdb")).unwrap().len();
    assert!(size < 24 << 20, "{size}");
}

fn full() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), 1 << 20);
    increment(&store, "count");
    let put = |at: usize| {
        let key = format!("key {at}");
        change(&store, &key, |_| Change::Set(vec![b'x'; 10_000], None))
    };
    let error = (0..200).find_map(|at| put(at).err()).unwrap();
    let told = format!(
        "the store in {} is full: 1048576 bytes; raise size= in config/store and reload, or remove what is not needed",
        dir.path().display()
    );
    assert_eq!(error.to_string(), told);
    assert_eq!(number(get(&store, "count").as_deref()), 1);
    // With more room it goes on.
    drop(store);
    let store = open(dir.path(), 8 << 20);
    change(&store, "more", |_| Change::Set(vec![b'x'; 10_000], None)).unwrap();
    assert_eq!(increment(&store, "count"), 2);
}

fn swept() {
    let dir = tempfile::tempdir().unwrap();
    // Too small for all of them at once.
    let store = open(dir.path(), 2 << 20);
    let lives = Some(Duration::from_millis(1));
    for at in 0..2000 {
        let key = format!("key {at}");
        let put = change(&store, &key, move |_| Change::Set(vec![b'x'; 3000], lives));
        put.unwrap_or_else(|error| panic!("{at}: {error}"));
    }
    assert!(store.keys_now(NAME).unwrap().len() < 10);
}
