//! A whole session with a client that says anything: it ends, each of its replies is well-formed, and all
//! are the same however the client's bytes arrive. Every recipient is taken, and every message.

use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::wire::replies;
use super::{choice, chunks};
use crate::base::Zone;
use crate::config::{Limits, ShowId, Strictness, UnauthPipelining};
use crate::hook::{Code, Hook, HookCall, Verdict};
use crate::mail::{Connection, Spool};
use crate::session::{PRODUCT, Profile, ReadEvent, SessionSettings, State, Step, conversation};
use crate::smtp::{Address, MAX_COMMAND_LINE};

/// The first byte chooses profile, limits and cuts.
pub fn session(bytes: &[u8]) {
    let (seed, said) = choice(bytes);
    let whole = talk(seed, &[said]);
    let codes = replies(&whole);
    assert_eq!(codes.first(), Some(&220));
    let single: Vec<&[u8]> = said.chunks(1).collect();
    assert_eq!(shown(&talk(seed, &single)), shown(&whole), "byte by byte");
    let cut = talk(seed, &chunks(seed, said));
    assert_eq!(shown(&cut), shown(&whole), "in chunks");
}

fn shown(wire: &[u8]) -> String {
    String::from_utf8_lossy(wire).into_owned()
}

fn settings(seed: u8) -> SessionSettings {
    let some = |limit| (seed & 1 == 1).then_some(limit);
    SessionSettings {
        profile: match seed & 2 {
            0 => Profile::V100,
            _ => Profile::V094,
        },
        keeps_received: seed & 2 == 0,
        me: b"mx.example".to_vec(),
        product: PRODUCT,
        version: "0".to_owned(),
        // Nothing goes to a file.
        spool: Rc::new(Spool {
            threshold: 1 << 30,
            ..Spool::default()
        }),
        // CRAM-MD5's challenge is another one each time.
        auth_mechanisms: vec!["PLAIN", "LOGIN"],
        zone: Zone::default(),
        timeout: Duration::from_secs(1200),
        data_min_rate: 0,
        recipient_limit: 5,
        forbidden_commands: vec![b"get".to_vec(), b"post".to_vec()],
        limits: Limits {
            errors: some(20),
            junk_commands: some(10),
            commands: some(30),
            auth_failures: some(3),
            envelope_size: some(300),
            header_size: some(200),
            header_lines: some(8),
            ..Limits::default()
        },
        show_id: ShowId::default(),
        strictness: Strictness {
            // Who sends on too early is seen by what comes together.
            unauth_pipelining: UnauthPipelining::Original,
            ..match seed & 4 {
                0 => Strictness::default(),
                _ => Strictness::ORIGINAL,
            }
        },
    }
}

/// Everything that the server says.
fn talk(seed: u8, said: &[&[u8]]) -> Vec<u8> {
    let state = Rc::new(State::new(
        Rc::new(settings(seed)),
        Connection::default(),
        None,
        SystemTime::UNIX_EPOCH,
    ));
    let mut machine = conversation(state.clone());
    let mut said = said.iter();
    let mut wire = Vec::new();
    let mut step = machine.start();
    loop {
        let answered = match step {
            Step::Finished(_) => return wire,
            Step::Read { to, .. } => {
                let kept = state.input.borrow().len();
                assert!(kept <= MAX_COMMAND_LINE + 2, "{kept} bytes are kept");
                match said.next() {
                    Some(bytes) => {
                        state.input.borrow_mut().push(bytes);
                        to.give(ReadEvent::Bytes)
                    }
                    None => to.give(ReadEvent::Eof),
                }
            }
            Step::Reply(reply, to) => {
                reply.encode(&mut wire);
                to.done()
            }
            Step::Config("databytes", to) => to.give(vec![b"2000".to_vec()]),
            Step::Hook(call, to) => to.give(decide(&call)),
            Step::Canonify(path, to) => to.give(Address::canonify(&path)),
            step => step.unaided(),
        };
        step = machine.resume(answered);
    }
}

fn decide(call: &HookCall) -> Verdict {
    match call.hook {
        Hook::Rcpt | Hook::Queue => Verdict::new(Code::Ok),
        Hook::AuthPlain | Hook::AuthLogin => Verdict::new(Code::Deny),
        _ => Verdict::declined(),
    }
}
