//! Tests of `cli`.

use clap::Command as Described;

use super::*;

fn every_command(command: &Described, path: &str, visit: &mut dyn FnMut(&Described, &str)) {
    visit(command, path);
    for inner in command.get_subcommands() {
        every_command(inner, &format!("{path} {}", inner.get_name()), visit);
    }
}

#[test]
fn the_definitions_are_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_says_what_it_does_and_shows_an_example() {
    let mut seen = 0;
    every_command(&Cli::command(), "repsec", &mut |command, path| {
        seen += 1;
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty() && !about.contains('\n') && !about.ends_with('.'), "{path}: {about:?}");
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = after.split_once("EXAMPLES:\n").unwrap_or_else(|| panic!("{path} has no EXAMPLES"));
        let own = if path == "repsec" { "repsec ".to_owned() } else { path.to_owned() };
        assert!(examples.lines().next().is_some_and(|line| line.contains(&own)), "{path}: {examples}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{path}: {} has no help", argument.get_id());
        }
    });
    assert_eq!(seen, 16);
}

/// What rustdoc makes of a backtick is for rustdoc; a terminal shows it as it is.
#[test]
fn no_help_shows_marks_that_are_meant_for_other_pages() {
    every_command(&Cli::command(), "repsec", &mut |command, path| {
        for help in [command.clone().render_help(), command.clone().render_long_help()] {
            let help = help.to_string();
            let line = help.lines().find(|line| line.contains('`') || line.contains("]("));
            assert_eq!(line, None, "{path}");
        }
    });
}

/// Examples that do not parse would be worse than none.
#[test]
fn every_example_is_understood() {
    let mut tried = 0;
    every_command(&Cli::command(), "repsec", &mut |command, path| {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        for line in after.lines().filter_map(|line| line.strip_prefix("  ")) {
            let line = line.rsplit_once("| ").map_or(line, |(_, last)| last);
            if line.starts_with("repsec ") {
                let words = words(line);
                let parsed = Cli::try_parse_from(options_behind_command(words));
                assert!(parsed.is_ok(), "{path}: {line}: {}", parsed.unwrap_err());
                tried += 1;
            }
        }
    });
    assert!(tried > 30, "{tried}");
}

/// A command line as a shell divides it, as far as the examples go: single quotes, and no redirections.
fn words(line: &str) -> Vec<OsString> {
    let line = line.split_once(" < ").or_else(|| line.split_once(" > ")).map_or(line, |(command, _)| command);
    let mut words: Vec<String> = vec![String::new()];
    let mut quoted = false;
    for letter in line.chars() {
        match letter {
            '\'' => quoted = !quoted,
            ' ' if !quoted => words.push(String::new()),
            other => words.last_mut().unwrap().push(other),
        }
    }
    words.into_iter().filter(|word| !word.is_empty()).map(OsString::from).collect()
}

#[test]
fn connection_options_may_stand_before_the_command() {
    for (typed, expected) in [
        (&["repsec", "--server", "h:1", "ping"][..], &["repsec", "ping", "--server", "h:1"][..]),
        (&["repsec", "--json", "--ca=f", "verify", "x"], &["repsec", "verify", "--json", "--ca=f", "x"]),
        (&["repsec", "ping", "--json"], &["repsec", "ping", "--json"]),
        (&["repsec", "--version"], &["repsec", "--version"]),
        (&["repsec", "--server"], &["repsec", "--server"]),
        (&["repsec"], &["repsec"]),
    ] {
        let typed = typed.iter().map(OsString::from).collect();
        assert_eq!(options_behind_command(typed), expected);
    }
}

fn parsed(line: &str) -> Result<Command, String> {
    Cli::try_parse_from(words(line)).map(|cli| cli.command).map_err(|error| error.to_string())
}

#[test]
fn what_cannot_be_meant_is_refused() {
    for line in [
        "repsec ping --count 0",
        "repsec ping --server host:0",
        "repsec ping --cert c.pem",
        "repsec register",
        "repsec register x --attributes []",
        "repsec register x --attribute novalue",
        "repsec verify",
        "repsec verify x --digest 12",
        "repsec verify x --at yesterday",
        "repsec audit x --limit 0",
        "repsec audit x --since 2026-08-01",
        "repsec import",
        "repsec serve --dev --cert c.pem --key k.pem",
        "repsec serve --cert c.pem",
        "repsec serve --shards 0",
        "repsec serve --listen localhost",
        "repsec serve --server h:1",
        "repsec log",
        "repsec log export",
        "repsec completions csh2",
    ] {
        assert!(parsed(line).is_err(), "{line}");
    }
}

#[test]
fn a_value_that_is_refused_says_what_is_expected() {
    let zero = "must be at least 1";
    let listen = "expected an IP address and a port, such as 127.0.0.1:4655 or [::]:4655";
    for (line, expected) in [
        ("repsec ping --count 0", zero),
        ("repsec audit x --limit 0", zero),
        ("repsec serve --shards 0", zero),
        ("repsec serve --drain-timeout-s 0", zero),
        ("repsec log replay --shards 0", zero),
        ("repsec serve --listen localhost:4655", listen),
        ("repsec serve --listen 4655", listen),
    ] {
        let refused = parsed(line).unwrap_err();
        assert!(refused.contains(expected), "{line}: {refused}");
    }
}

#[test]
fn the_help_of_serve_has_no_marks_of_the_documentation() {
    let mut command = Cli::command();
    let help = command.find_subcommand_mut("serve").unwrap().render_long_help().to_string();
    assert!(!help.contains('`'), "{help}");
}

#[test]
fn options_of_the_log_stand_on_either_side() {
    for line in ["repsec log --json --data d stat", "repsec log stat --data d --json"] {
        let Ok(Command::Log(args)) = parsed(line) else { panic!("{line}") };
        assert!(args.json && args.data.is_some_and(|data| data.as_os_str() == "d"), "{line}");
    }
}

#[test]
fn no_way_to_switch_off_the_checks_is_offered() {
    every_command(&Cli::command(), "repsec", &mut |command, path| {
        for argument in command.get_arguments() {
            let name = argument.get_long().unwrap_or_default();
            let suspicious = ["insecure", "no-verify", "skip", "trust"].iter().any(|word| name.contains(word));
            assert!(!suspicious || (path, name) == ("repsec serve", "insecure-anonymous"), "{path} --{name}");
        }
    });
}

#[test]
fn the_top_help_lists_exits_and_environment() {
    let help = Cli::command().render_help().to_string();
    for part in ["EXIT STATUS:", "ENVIRONMENT:", "REPSEC_SERVER", "REPSEC_DATA", "EXAMPLES:"] {
        assert!(help.contains(part), "{part}");
    }
}
