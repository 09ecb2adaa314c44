//! What is asked and answered, as bytes. Both ends are this program.

/// A name as a process gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Given<'a> {
    /// Container slot.
    pub(crate) container: u32,
    /// The process.
    pub(crate) tgid: u32,
    /// Its id as its own /proc shows it.
    pub(crate) pid: u32,
    /// Inode number of its mount namespace when it gave the name; 0: unknown.
    pub(crate) namespace: u32,
    /// What the name is relative to; the caller's root when it is absolute.
    pub(crate) directory: &'a [u8],
    /// The name.
    pub(crate) name: &'a [u8],
    /// A symbolic link at its end is followed.
    pub(crate) follow: bool,
    /// The container shares the node's mount namespace.
    pub(crate) is_host: bool,
}

impl Given<'_> {
    /// The name behind its directory, as it stands.
    pub(crate) fn as_given(&self) -> Vec<u8> {
        let mut path = self.directory.to_vec();
        while path.ends_with(b"/") {
            path.pop();
        }
        if !self.name.starts_with(b"/") {
            path.push(b'/');
        }
        path.extend_from_slice(self.name);
        path
    }
}

/// A question.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Question<'a> {
    /// Keep the root of this process, for names of the container when its processes are gone. Has no answer.
    Root {
        /// Container slot.
        container: u32,
        /// The process.
        tgid: u32,
    },
    /// The path that a name leads to.
    Name(Given<'a>),
    /// Arguments and working directory of a process.
    CommandLine {
        /// The process.
        tgid: u32,
    },
}

/// Arguments and working directory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CommandLine {
    /// Arguments, each ended by NUL.
    pub(crate) argv: Vec<u8>,
    /// There are more.
    pub(crate) truncated: bool,
    /// None: the process is gone.
    pub(crate) cwd: Option<Vec<u8>>,
}

const ROOT: u32 = 0;
const NAME: u32 = 1;
const COMMAND_LINE: u32 = 2;
const FOLLOW: u32 = 1;
const HOST: u32 = 2;
/// Bytes in front of an answer: ticket, whether there is one, length.
pub(super) const HEAD: usize = 16;
/// The ticket of an answer to no question: the child runs.
pub(super) const BEGUN: u64 = u64::MAX;
/// Longest question: two paths.
pub(super) const MAX_QUESTION: usize = 64 << 10;

fn number(bytes: &mut &[u8]) -> Option<u32> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*first))
}

impl<'a> Question<'a> {
    /// The child answers it.
    pub(super) fn has_answer(&self) -> bool {
        !matches!(self, Self::Root { .. })
    }

    /// Length, ticket, and the question.
    pub(super) fn encode(&self, ticket: u64) -> Vec<u8> {
        let (numbers, texts): ([u32; 7], [&[u8]; 2]) = match *self {
            Self::Root { container, tgid } => ([ROOT, container, tgid, 0, 0, 0, 0], [b"", b""]),
            Self::CommandLine { tgid } => ([COMMAND_LINE, 0, tgid, 0, 0, 0, 0], [b"", b""]),
            Self::Name(given) => {
                let flags = u32::from(given.follow) * FOLLOW + u32::from(given.is_host) * HOST;
                let length = u32::try_from(given.directory.len()).unwrap_or(0);
                (
                    [
                        NAME,
                        given.container,
                        given.tgid,
                        given.pid,
                        given.namespace,
                        flags,
                        length,
                    ],
                    [given.directory, given.name],
                )
            }
        };
        let length = 8 + size_of_val(&numbers) + texts[0].len() + texts[1].len();
        let mut bytes = Vec::with_capacity(4 + length);
        bytes.extend(u32::try_from(length).unwrap_or(0).to_le_bytes());
        bytes.extend(ticket.to_le_bytes());
        for number in numbers {
            bytes.extend(number.to_le_bytes());
        }
        bytes.extend(texts[0]);
        bytes.extend(texts[1]);
        bytes
    }

    /// Ticket and question, from what follows the length.
    pub(super) fn decode(bytes: &'a [u8]) -> Option<(u64, Self)> {
        let (ticket, mut bytes) = bytes.split_first_chunk()?;
        let mut numbers = [0; 7];
        for place in &mut numbers {
            *place = number(&mut bytes)?;
        }
        let [kind, container, tgid, pid, namespace, flags, length] = numbers;
        let question = match kind {
            ROOT => Self::Root { container, tgid },
            COMMAND_LINE => Self::CommandLine { tgid },
            NAME => {
                let (directory, name) = bytes.split_at_checked(length as usize)?;
                Self::Name(Given {
                    container,
                    tgid,
                    pid,
                    namespace,
                    directory,
                    name,
                    follow: flags & FOLLOW != 0,
                    is_host: flags & HOST != 0,
                })
            }
            _ => return None,
        };
        Some((u64::from_le_bytes(*ticket), question))
    }
}

/// An answer with its head.
pub(super) struct Frame;

impl Frame {
    /// The answer of a question; none: it took too long.
    pub(super) fn encode(ticket: u64, answer: Option<&[u8]>) -> Vec<u8> {
        let text = answer.unwrap_or_default();
        let mut bytes = Vec::with_capacity(HEAD + text.len());
        bytes.extend(ticket.to_le_bytes());
        bytes.extend(u32::from(answer.is_some()).to_le_bytes());
        bytes.extend(u32::try_from(text.len()).unwrap_or(0).to_le_bytes());
        bytes.extend(text);
        bytes
    }

    /// The first answer of some bytes; none: it has not come whole.
    pub(super) fn decode(bytes: &[u8]) -> Option<(u64, Option<&[u8]>)> {
        let (ticket, mut rest) = bytes.split_first_chunk()?;
        let is_there = number(&mut rest)? != 0;
        let length = number(&mut rest)?;
        let text = rest.get(..length as usize)?;
        Some((u64::from_le_bytes(*ticket), is_there.then_some(text)))
    }
}

impl CommandLine {
    pub(super) fn encode(&self) -> Vec<u8> {
        let length = u32::try_from(self.argv.len()).unwrap_or(0);
        let mut bytes = Vec::with_capacity(8 + self.argv.len());
        bytes.extend(length.to_le_bytes());
        bytes.extend((u32::from(self.truncated) + 2 * u32::from(self.cwd.is_some())).to_le_bytes());
        bytes.extend(&self.argv);
        bytes.extend(self.cwd.iter().flatten());
        bytes
    }

    /// From an answer; nothing known where it is none.
    pub(crate) fn decode(mut bytes: &[u8]) -> Option<Self> {
        let length = number(&mut bytes)?;
        let flags = number(&mut bytes)?;
        let (argv, cwd) = bytes.split_at_checked(length as usize)?;
        Some(Self {
            argv: argv.to_vec(),
            truncated: flags & 1 != 0,
            cwd: (flags & 2 != 0).then(|| cwd.to_vec()),
        })
    }
}

/// Reads bytes as each end does, for a fuzz target.
#[cfg(any(test, fuzzing))]
pub(crate) fn read_as_both_ends(bytes: &[u8]) {
    if let Some((ticket, question)) = bytes.get(4..).and_then(Question::decode) {
        let again = question.encode(ticket);
        assert_eq!(Question::decode(&again[4..]), Some((ticket, question)));
    }
    let mut rest = bytes;
    while let Some((ticket, answer)) = Frame::decode(rest) {
        let length = HEAD + answer.map_or(0, <[u8]>::len);
        if let Some(line) = answer.and_then(CommandLine::decode) {
            assert_eq!(CommandLine::decode(&line.encode()), Some(line));
        }
        assert_eq!(
            Frame::decode(&Frame::encode(ticket, answer)),
            Some((ticket, answer))
        );
        rest = &rest[length..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_and_answers_are_read_as_they_were_written() {
        let given = Given {
            container: 1,
            tgid: 2,
            pid: 3,
            namespace: 4,
            directory: b"/a",
            name: b"b\xff",
            follow: true,
            is_host: false,
        };
        let bytes = Question::Name(given).encode(7);
        let Some((7, Question::Name(read))) = Question::decode(&bytes[4..]) else {
            panic!("it is another question");
        };
        assert_eq!((read.container, read.tgid, read.pid), (1, 2, 3));
        assert_eq!(read.namespace, 4);
        assert_eq!((read.directory, read.name), (given.directory, given.name));
        assert_eq!((read.follow, read.is_host), (true, false));
        for cut in 4..bytes.len() - given.name.len() {
            assert!(Question::decode(&bytes[4..cut]).is_none(), "{cut}");
        }

        let answer = Frame::encode(7, Some(b"/a/b"));
        assert_eq!(Frame::decode(&answer), Some((7, Some(b"/a/b".as_slice()))));
        assert_eq!(Frame::decode(&answer[..answer.len() - 1]), None);
        assert_eq!(Frame::decode(&Frame::encode(8, None)), Some((8, None)));

        let line = CommandLine {
            argv: b"a\0b\0".to_vec(),
            truncated: true,
            cwd: Some(b"/".to_vec()),
        };
        assert_eq!(CommandLine::decode(&line.encode()), Some(line));
    }

    #[test]
    fn a_name_as_it_was_given_stands_behind_its_directory() {
        let given = |directory, name| Given {
            container: 0,
            tgid: 0,
            pid: 0,
            namespace: 0,
            directory,
            name,
            follow: false,
            is_host: true,
        };
        assert_eq!(given(b"/", b"/a/../b").as_given(), b"/a/../b");
        assert_eq!(given(b"/w", b"a").as_given(), b"/w/a");
        assert_eq!(given(b"/", b"a").as_given(), b"/a");
        assert_eq!(given(b"/jail", b"/a").as_given(), b"/jail/a");
    }
}
