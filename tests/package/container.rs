//! packaging/Dockerfile: built of the package and run, where a docker engine answers.

use std::fs;
use std::process::Command;

use camelpost_support::{Client, repository, until};

use crate::deb::{OLD, debs, run};

/// Why no image can be built, if that is so.
fn hindrance() -> Option<String> {
    let output = match Command::new("docker").arg("info").output() {
        Ok(output) => output,
        Err(error) => return Some(format!("docker: {error}")),
    };
    let said = String::from_utf8_lossy(&output.stderr);
    (!output.status.success()).then(|| said.trim().to_owned())
}

#[test]
fn the_container_receives_a_message_and_nothing_in_it_is_root() {
    let text = fs::read_to_string(repository().join("packaging/Dockerfile")).unwrap();
    let mut user = text.lines().filter(|line| line.starts_with("USER "));
    assert_eq!(user.next_back(), Some("USER camelpost"));
    if let Some(why) = hindrance() {
        println!("no docker engine answers, so that packaging/Dockerfile is not built: {why}");
        return;
    }
    let context = tempfile::tempdir().unwrap();
    fs::copy(debs().file(OLD), context.path().join("camelpost_test.deb")).unwrap();
    let image = format!("camelpost-test-{}", std::process::id());
    let dockerfile = repository().join("packaging/Dockerfile");
    run(Command::new("docker")
        .args(["build", "--tag", &image, "--file"])
        .arg(dockerfile)
        .arg(context.path()));
    let id = run(Command::new("docker").args([
        "run",
        "--detach",
        "--rm",
        "--init",
        "--publish",
        "127.0.0.1::2525",
        &image,
    ]));
    let docker = |words: &[&str]| run(Command::new("docker").args(words));
    let id = id.trim();
    let port = docker(&["port", id, "2525/tcp"]);
    let port: u16 = port.trim().rsplit(':').next().unwrap().parse().unwrap();
    until("the daemon", || {
        let ping = Command::new("docker")
            .args(["exec", id, "camelpost", "ping"])
            .output();
        ping.unwrap().status.success()
    });
    let message = "Subject: test\r\n\r\nin a container\r\n";
    Client::connect(([127, 0, 0, 1], port)).deliver("test@localhost", message);
    let mail = docker(&[
        "exec",
        id,
        "sh",
        "-c",
        "cat /var/lib/camelpost/Maildir/new/*",
    ]);
    assert!(mail.contains("in a container"), "{mail}");
    assert_eq!(docker(&["exec", id, "id", "-un"]).trim(), "camelpost");
    docker(&["stop", id]);
    docker(&["rmi", &image]);
}
