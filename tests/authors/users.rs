//! An HTTP server that knows some users: GET /users/ADDRESS gives their class. It knows no plugin.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::thread;

pub struct Users {
    pub url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Users {
    pub fn start(known: &[(&str, &str)]) -> Users {
        let own = |(user, class): &(&str, &str)| (format!("/users/{user}"), (*class).to_owned());
        let known: Vec<(String, String)> = known.iter().map(own).collect();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/users", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
                let first = lines.next().unwrap().unwrap();
                lines.find(|line| line.as_ref().is_ok_and(String::is_empty));
                let path = first.split(' ').nth(1).unwrap().to_owned();
                let class = known.iter().find(|(user, _)| *user == path);
                let (status, body) = match class {
                    Some((_, class)) => ("200 OK", class.as_str()),
                    None => ("404 Not Found", ""),
                };
                let length = body.len();
                let head = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
                );
                stream.write_all((head + body).as_bytes()).unwrap();
                told.lock().unwrap().push(path);
            }
        });
        Users { url, asked }
    }

    /// What was asked for so far.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}
