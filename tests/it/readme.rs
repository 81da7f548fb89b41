//! The README's tour, typed and compared: what it shows is what appears, but for numbers and widths.

use crate::harness::{Setup, run};

#[test]
fn the_tour_of_the_readme_is_what_appears() {
    let mut server = Setup::new("epoll", 1).start();
    let tour = tour(include_str!("../../README.md"));
    assert!(tour.len() > 5, "the README lost its tour: {tour:?}");
    for (typed, shown) in tour {
        let arguments: Vec<&str> = typed.split_whitespace().collect();
        let said = if arguments.first() == Some(&"log") {
            server.terminate();
            run(&[&arguments[..], &["--data", &server.data()]].concat())
        } else {
            server.run(&arguments)
        };
        assert_eq!(masked(&said.stdout), masked(&shown), "repsec {typed}: {said:?}");
    }
}

#[test]
fn the_dialogue_of_the_readme_is_what_is_answered() {
    let text = include_str!("../../README.md");
    let block = text.split("```json\n").nth(1).and_then(|block| block.split("```").next()).expect("a dialogue");
    let lines: Vec<&str> = block.lines().collect();
    assert!(lines.len() >= 4 && lines.len().is_multiple_of(2), "{lines:?}");
    let server = Setup::new("epoll", 1).start();
    let mut client = server.client();
    for dialogue in lines.chunks(2) {
        client.send(format!("{}\n", dialogue[0]));
        let answer = client.answer_text();
        assert_eq!(masked(&answer), masked(dialogue[1]), "{}", dialogue[0]);
    }
}

/// The commands of the console blocks, each with the lines that are shown for it.
fn tour(text: &str) -> Vec<(String, String)> {
    let mut steps: Vec<(String, String)> = Vec::new();
    let blocks = text.split("```console\n").skip(1).filter_map(|block| block.split("```").next());
    for line in blocks.flat_map(str::lines) {
        match line.strip_prefix("$ repsec ") {
            Some(command) => steps.push((command.to_owned(), String::new())),
            None => {
                let (_, shown) = steps.last_mut().expect("a command stands before its output");
                shown.push_str(line);
                shown.push('\n');
            }
        }
    }
    steps
}

/// The text with every number (and every digest) as one sign and every run of blanks as one blank.
fn masked(text: &str) -> String {
    let mask = |word: &str| -> String {
        if word.len() == 64 && word.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return "#".to_owned();
        }
        let mut masked = String::new();
        for character in word.chars() {
            match character {
                '0'..='9' if masked.ends_with('#') => {}
                '0'..='9' => masked.push('#'),
                other => masked.push(other),
            }
        }
        // A time has its milliseconds only where there are any.
        masked.replace(":#.#Z", ":#Z")
    };
    text.lines().map(|line| line.split_whitespace().map(mask).collect::<Vec<_>>().join(" ") + "\n").collect()
}

#[test]
fn what_differs_in_more_than_numbers_is_seen() {
    assert_eq!(masked("a  12.5 ms\n"), masked("a 3.777 ms\n"));
    assert_ne!(masked("yes a\n"), masked("no a\n"));
    assert_ne!(masked("a\n"), masked("a\nb\n"));
}
