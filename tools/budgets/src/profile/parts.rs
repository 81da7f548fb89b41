//! Which part of a command's way a piece of code belongs to: tables of modules, crates and symbols, easy to extend.
//!
//! A sample is one instruction. Where the compiler put a function into another one, the line tables name all of them,
//! and the innermost one of our own decides: a vector that grows inside of the parser is the parser's. What is not ours
//! counts by its crate, or by its symbol where it has no line tables (C and C++, and crates that are compiled without).
//! The longest entry that fits decides.

use serde::{Deserialize, Serialize};

/// A part of a command's way, in the order in which it is drawn.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "`name` says it")]
pub enum Part {
    KernelNet,
    KernelPages,
    KernelTurns,
    EventLoop,
    Tls,
    Reading,
    Name,
    Session,
    Engine,
    Table,
    Answer,
    Journal,
    Committer,
    RocksWrite,
    RocksBackground,
    KernelDisk,
    Allocator,
    Copies,
    Standard,
    Else,
    Unresolved,
}

impl Part {
    /// All of them, in order.
    pub const ALL: [Part; 21] = [
        Part::KernelNet,
        Part::KernelPages,
        Part::KernelTurns,
        Part::EventLoop,
        Part::Tls,
        Part::Reading,
        Part::Name,
        Part::Session,
        Part::Engine,
        Part::Table,
        Part::Answer,
        Part::Journal,
        Part::Committer,
        Part::RocksWrite,
        Part::RocksBackground,
        Part::KernelDisk,
        Part::Allocator,
        Part::Copies,
        Part::Standard,
        Part::Else,
        Part::Unresolved,
    ];

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Part::KernelNet => "kernel: sockets and ring",
            Part::KernelPages => "kernel: giving and taking memory",
            Part::KernelTurns => "kernel: switching threads",
            Part::EventLoop => "event loop, connections, mailboxes",
            Part::Tls => "TLS",
            Part::Reading => "reading the message",
            Part::Name => "name: canonical form and hash",
            Part::Session => "session",
            Part::Engine => "engine",
            Part::Table => "table",
            Part::Answer => "answer",
            Part::Journal => "access journal",
            Part::Committer => "committer: events and batches",
            Part::RocksWrite => "RocksDB: write",
            Part::RocksBackground => "RocksDB: flush, compaction",
            Part::KernelDisk => "kernel: files and syncs",
            Part::Allocator => "allocator",
            Part::Copies => "memory copies, caller unknown",
            Part::Standard => "standard library, caller unknown",
            Part::Else => "else",
            Part::Unresolved => "not resolved",
        }
    }
}

/// Our own modules, by path below `src`.
const MODULES: [(&str, Part); 36] = [
    ("domain", Part::Engine),
    ("engine", Part::Engine),
    ("faces", Part::Session),
    ("faces/repsec/answer", Part::Answer),
    ("faces/repsec/cursor", Part::Answer),
    ("faces/repsec/id", Part::Answer),
    ("faces/repsec/lookup", Part::Reading),
    ("faces/repsec/message", Part::Reading),
    ("faces/repsec/status", Part::Answer),
    ("log", Part::Committer),
    ("log/access", Part::Journal),
    ("log/rocks", Part::RocksWrite),
    ("main.rs", Part::Else),
    ("allocator.rs", Part::Allocator),
    ("projection", Part::Table),
    ("runtime", Part::EventLoop),
    ("server", Part::EventLoop),
    ("server/journal", Part::Journal),
    ("server/tls", Part::Tls),
    ("types", Part::Engine),
    ("types/attributes", Part::Reading),
    ("types/entity", Part::Name),
    ("types/hash", Part::Name),
    ("types/nonce", Part::Engine),
    ("types/principal", Part::Engine),
    ("types/sequence", Part::Engine),
    ("types/sip", Part::Name),
    ("types/time", Part::Engine),
    ("wire", Part::Reading),
    ("wire/canonical", Part::Reading),
    ("wire/flat", Part::Reading),
    ("wire/frame", Part::Reading),
    ("wire/json", Part::Reading),
    ("wire/text", Part::Answer),
    ("config", Part::Else),
    ("cli", Part::Else),
];

/// Crates of others, by how their names begin; `-` is `_`.
const CRATES: [(&str, Part); 35] = [
    ("aws_lc", Part::Tls),
    ("base64", Part::Reading),
    ("blake3", Part::Committer),
    ("bytecheck", Part::Committer),
    ("compiler_builtins", Part::Copies),
    ("crossbeam", Part::EventLoop),
    ("flume", Part::EventLoop),
    ("futures", Part::EventLoop),
    ("getrandom", Part::Else),
    ("hashbrown", Part::Table),
    ("icu_", Part::Name),
    ("idna", Part::Name),
    ("io_uring", Part::EventLoop),
    ("ipnet", Part::Name),
    ("itoa", Part::Answer),
    ("librocksdb_sys", Part::RocksWrite),
    ("libmimalloc", Part::Allocator),
    ("memchr", Part::Reading),
    ("mimalloc", Part::Allocator),
    ("mio", Part::EventLoop),
    ("monoio", Part::EventLoop),
    ("rend", Part::Committer),
    ("rkyv", Part::Committer),
    ("rocksdb", Part::RocksWrite),
    ("rustls", Part::Tls),
    ("ryu_js", Part::Reading),
    ("sha2", Part::Engine),
    ("simd_json", Part::Reading),
    ("simdutf8", Part::Reading),
    ("siphasher", Part::Name),
    ("unicode", Part::Name),
    ("url", Part::Name),
    ("value_trait", Part::Reading),
    ("wide", Part::Reading),
    ("zeroize", Part::Tls),
];

/// Symbols of C, C++ and assembler, by how they begin.
const SYMBOLS: [(&str, Part); 43] = [
    ("CRYPTO_", Part::Tls),
    ("EVP_", Part::Tls),
    ("LZ4_", Part::RocksWrite),
    ("XXH", Part::RocksWrite),
    ("ROCKSDB_XXH", Part::RocksWrite),
    ("__GI___clock", Part::EventLoop),
    ("__GI___libc_write", Part::RocksWrite),
    ("__memcmp", Part::Copies),
    ("__memcpy", Part::Copies),
    ("__memmove", Part::Copies),
    ("__memset", Part::Copies),
    ("__rdl_", Part::Allocator),
    ("__rust_", Part::Allocator),
    ("__rustc::__rust_", Part::Allocator),
    ("__vdso_", Part::EventLoop),
    ("SliceTransform", Part::RocksWrite),
    ("_blake3_", Part::Committer),
    ("_mi_", Part::Allocator),
    ("aead_", Part::Tls),
    ("aes", Part::Tls),
    ("aws_lc", Part::Tls),
    ("bcmp", Part::Copies),
    ("blake3_", Part::Committer),
    ("calloc", Part::Allocator),
    ("cfree", Part::Allocator),
    ("clock_gettime", Part::EventLoop),
    ("core::net", Part::Name),
    ("crc32c", Part::RocksWrite),
    ("free", Part::Allocator),
    ("gcm_", Part::Tls),
    ("malloc", Part::Allocator),
    ("memcmp", Part::Copies),
    ("memcpy", Part::Copies),
    ("memmove", Part::Copies),
    ("memset", Part::Copies),
    ("mi_", Part::Allocator),
    ("operator delete", Part::Allocator),
    ("operator new", Part::Allocator),
    ("realloc", Part::Allocator),
    ("rocksdb", Part::RocksWrite),
    ("skip_iv", Part::Tls),
    ("std::__cxx11", Part::RocksWrite),
    ("syscall", Part::EventLoop),
];

/// Functions of the kernel that tell what it is at, whoever asked, by how their names begin. All others count by their
/// thread: sockets and ring on a thread that serves connections, files and syncs on any other.
const KERNEL: [(&str, Part); 37] = [
    ("__alloc_frozen_pages", Part::KernelPages),
    ("__alloc_pages", Part::KernelPages),
    ("__do_fault", Part::KernelPages),
    ("__free_frozen_pages", Part::KernelPages),
    ("__handle_mm", Part::KernelPages),
    ("__mem_cgroup_charge", Part::KernelPages),
    ("__pte_offset", Part::KernelPages),
    ("__schedule", Part::KernelTurns),
    ("alloc_anon_folio", Part::KernelPages),
    ("alloc_pages", Part::KernelPages),
    ("asm_exc_page_fault", Part::KernelPages),
    ("clear_huge_page", Part::KernelPages),
    ("clear_page", Part::KernelPages),
    ("dequeue_", Part::KernelTurns),
    ("do_anonymous_page", Part::KernelPages),
    ("do_madvise", Part::KernelPages),
    ("do_user_addr_fault", Part::KernelPages),
    ("enqueue_", Part::KernelTurns),
    ("exc_page_fault", Part::KernelPages),
    ("finish_task_switch", Part::KernelTurns),
    ("flush_tlb", Part::KernelPages),
    ("folio_add_new_anon", Part::KernelPages),
    ("free_pages_and_swap", Part::KernelPages),
    ("free_unref", Part::KernelPages),
    ("futex_", Part::KernelTurns),
    ("get_page_from_freelist", Part::KernelPages),
    ("handle_mm_fault", Part::KernelPages),
    ("lock_vma_under_rcu", Part::KernelPages),
    ("madvise_", Part::KernelPages),
    ("pick_next_task", Part::KernelTurns),
    ("prep_new_page", Part::KernelPages),
    ("release_pages", Part::KernelPages),
    ("schedule", Part::KernelTurns),
    ("try_to_wake_up", Part::KernelTurns),
    ("unmap_", Part::KernelPages),
    ("vma_alloc_folio", Part::KernelPages),
    ("zap_", Part::KernelPages),
];

/// The standard library, whose functions belong to whoever called them.
const STANDARD: [&str; 3] = ["alloc", "core", "std"];

/// One instruction that was running.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Place {
    /// The thread's name.
    pub thread: String,
    /// The name of the function that was compiled, if there is one.
    pub symbol: String,
    /// The program or library.
    pub object: String,
}

impl Place {
    /// The part that an instruction belongs to. `files` are the source files of the functions that it belongs to, the
    /// innermost first, as far as there are line tables; those of the repository relative to it.
    pub fn part(&self, files: &[String]) -> Part {
        if self.is_of_kernel() {
            let by_thread = if is_of_shard(&self.thread) { Part::KernelNet } else { Part::KernelDisk };
            return longest(&KERNEL, &self.symbol).unwrap_or(by_thread);
        }
        let part = self.of_program(files);
        if part == Part::RocksWrite && self.thread.starts_with("rocksdb") { Part::RocksBackground } else { part }
    }

    /// Whether the kernel was running for this thread.
    pub fn is_of_kernel(&self) -> bool {
        self.object.contains("kernel") || self.object.starts_with("[guest")
    }

    fn of_program(&self, files: &[String]) -> Part {
        if let Some(part) = files.iter().find_map(|file| longest(&MODULES, file.strip_prefix("src/")?)) {
            return part;
        }
        if let Some(part) = files.iter().find_map(|file| longest(&CRATES, &crate_of(file)?)) {
            return part;
        }
        if let Some(part) = by_words(&self.symbol).or_else(|| longest(&SYMBOLS, self.symbol.trim_start_matches('<'))) {
            return part;
        }
        let is_standard = |file: &String| file.starts_with("/rustc/") || file.contains("/library/");
        let first = crates(&self.symbol).next();
        if files.iter().any(is_standard) || first.is_some_and(|first| STANDARD.contains(&first)) {
            return Part::Standard;
        }
        if self.symbol.is_empty() || self.symbol == "[unknown]" { Part::Unresolved } else { Part::Else }
    }
}

/// Whether a thread is one that serves connections.
fn is_of_shard(thread: &str) -> bool {
    ["shard", "iou-"].iter().any(|prefix| thread.starts_with(prefix))
}

/// What the longest entry says that the text begins with.
fn longest(table: &[(&str, Part)], text: &str) -> Option<Part> {
    table
        .iter()
        .filter(|(prefix, _)| text.starts_with(prefix))
        .max_by_key(|(prefix, _)| prefix.len())
        .map(|(_, part)| *part)
}

/// The crate of a source file in Cargo's registry.
fn crate_of(file: &str) -> Option<String> {
    let (_, rest) = file.split_once("/registry/src/")?;
    let folder = rest.split('/').nth(1)?;
    let (name, _version) = folder.rsplit_once('-')?;
    Some(name.replace('-', "_"))
}

/// The words of a symbol that paths begin with: `core` and `rustls` of `core::ptr::drop_in_place<rustls::Stream>`.
fn crates(symbol: &str) -> impl Iterator<Item = &str> {
    let words = symbol.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter_map(|word| word.split_once("::").map(|(first, _)| first)).filter(|first| !first.is_empty())
}

/// What the first path in a symbol says that is ours, or of a crate that is known.
fn by_words(symbol: &str) -> Option<Part> {
    let words = symbol.split(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != ':');
    words.filter(|word| word.contains("::")).find_map(|word| match word.strip_prefix("repsec::") {
        Some(path) => longest(&MODULES, &path.replace("::", "/")),
        None => longest(&CRATES, word.split("::").next().unwrap_or_default()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(thread: &str, object: &str, symbol: &str, files: &[&str]) -> Part {
        let place = Place { thread: thread.to_owned(), symbol: symbol.to_owned(), object: object.to_owned() };
        place.part(&files.iter().map(|file| (*file).to_owned()).collect::<Vec<_>>())
    }

    /// No entry hides another one, and each path of ours has a part.
    #[test]
    fn tables_are_consistent() {
        for table in [MODULES.as_slice(), &CRATES, &SYMBOLS, &KERNEL] {
            let mut prefixes: Vec<&str> = table.iter().map(|(prefix, _)| *prefix).collect();
            prefixes.sort_unstable();
            prefixes.dedup();
            assert_eq!(prefixes.len(), table.len(), "an entry stands twice");
        }
        let mut folders = std::fs::read_dir(crate::repository().join("src")).unwrap();
        let unknown = folders.find(|entry| {
            let name = entry.as_ref().unwrap().file_name().to_string_lossy().into_owned();
            !["lib.rs", "manual", "sync.rs"].contains(&name.as_str()) && longest(&MODULES, &name).is_none()
        });
        assert!(unknown.is_none(), "{unknown:?} belongs to no part");
        let mut all = Part::ALL.to_vec();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all, Part::ALL);
    }

    #[test]
    fn the_innermost_of_ours_decides() {
        let vec = "/rustc/5980/library/alloc/src/vec/mod.rs";
        let rustls = "/root/.cargo/registry/src/index.crates.io-19/rustls-0.23.1/src/conn.rs";
        let expected = [
            (&[vec, "src/wire/flat.rs", "src/faces/repsec/session.rs"][..], Part::Reading),
            (&[vec, "src/server/connection.rs"], Part::EventLoop),
            (&["src/server/tls.rs"], Part::Tls),
            (&["src/faces/repsec/answer/write.rs"], Part::Answer),
            (&["src/projection/current.rs"], Part::Table),
            (&["src/types/entity/domain.rs"], Part::Name),
            (&[rustls], Part::Tls),
            (&[vec, rustls], Part::Tls),
            (&[vec], Part::Standard),
        ];
        for (files, expected) in expected {
            assert_eq!(part("shard-0", "repsec", "f", files), expected, "{files:?}");
        }
    }

    #[test]
    fn what_has_no_lines_counts_by_its_symbol() {
        let expected = [
            ("shard-0", "[kernel.kallsyms]", "tcp_sendmsg", Part::KernelNet),
            ("shard-0", "[kernel.kallsyms]", "clear_page_erms", Part::KernelPages),
            ("shard-0", "[kernel.kallsyms]", "finish_task_switch.isra.0", Part::KernelTurns),
            ("shard-0", "[kernel.kallsyms]", "[unknown]", Part::KernelNet),
            ("shard-0", "repsec", "<core::net::parser::Parser>::read_ipv4_addr", Part::Name),
            ("committer", "[kernel.kallsyms]", "ext4_sync_file", Part::KernelDisk),
            ("shard-0", "libc.so.6", "__memmove_avx_unaligned_erms", Part::Copies),
            ("shard-0", "repsec", "_mi_page_malloc", Part::Allocator),
            ("shard-0", "repsec", "aws_lc_0_47_0_aes_gcm_enc_update_vaes_avx2", Part::Tls),
            ("shard-0", "repsec", "<rustls::crypter::X as core::fmt::Debug>::fmt", Part::Tls),
            ("shard-0", "repsec", "core::ptr::drop_in_place<monoio::task::Task>", Part::EventLoop),
            ("shard-0", "repsec", "<repsec::engine::Engine>::step", Part::Engine),
            ("shard-0", "repsec", "core::str::converts::from_utf8", Part::Standard),
            ("committer", "repsec", "rocksdb::DBImpl::WriteImpl", Part::RocksWrite),
            ("rocksdb:low0", "repsec", "rocksdb::CompactionJob::Run", Part::RocksBackground),
            ("rocksdb:low0", "repsec", "LZ4_compress_fast", Part::RocksBackground),
            ("shard-0", "repsec", "[unknown]", Part::Unresolved),
            ("shard-0", "repsec", "something_of_c", Part::Else),
        ];
        for (thread, object, symbol, expected) in expected {
            assert_eq!(part(thread, object, symbol, &[]), expected, "{thread} {symbol}");
        }
    }
}
