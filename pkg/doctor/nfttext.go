package doctor

import (
	"strings"
)

// maxTokens bounds what is read of a file of nft.
const maxTokens = 1 << 20

// A mention is a place in a file of nft that names our table.
type mention struct {
	line int
	kind mentionKind
}

type mentionKind int

const (
	declares  mentionKind = iota // table inet NAME { ... }, or a command that adds to it
	badFlags                     // as declares, with flags that an older nft does not read
	takesAway                    // delete, destroy or flush of the table, or of a part of it
)

// A nftInclude is an include of another file.
type nftInclude struct {
	line    int
	pattern string
}

// A token is a word of a file of nft, one of { } ; or the end of a line, which is "\n".
type token struct {
	text string
	line int
}

// tokens splits a file of nft into its words. Comments are left out, and a string loses
// its quotes. It returns false if there are too many of them.
func tokens(text string) ([]token, bool) {
	var list []token
	line, at := 1, 0
	for at < len(text) {
		if len(list) == maxTokens {
			return list, false
		}
		rest := text[at:]
		switch c := rest[0]; {
		case c == '\n':
			list = append(list, token{"\n", line})
			line++
			at++
		case strings.HasPrefix(rest, "\\\n"):
			line++
			at += 2
		case c == ' ' || c == '\t' || c == '\r':
			at++
		case c == '#':
			at += upTo(rest, "\n")
		case c == '"':
			s := rest[1:]
			s = s[:upTo(s, "\"")]
			list = append(list, token{s, line})
			line += strings.Count(s, "\n")
			at += min(len(s)+2, len(rest))
		case c == '{' || c == '}' || c == ';':
			list = append(list, token{string(c), line})
			at++
		default:
			n := upTo(rest, " \t\r\n{};\"")
			if n == 0 {
				n = 1
			}
			list = append(list, token{rest[:n], line})
			at += n
		}
	}
	return list, true
}

// upTo returns the length of s up to the first of some bytes, or of all of it.
func upTo(s, stops string) int {
	if n := strings.IndexAny(s, stops); n >= 0 {
		return n
	}
	return len(s)
}

// scanRuleset finds what a file of nft says of the table inet NAME, and the files that
// it includes. It returns false if the file is too long to be read to the end.
func scanRuleset(text, table string) (mentions []mention, includes []nftInclude, whole bool) {
	list, whole := tokens(text)
	s := scanner{table: table}
	for _, t := range list {
		s.add(t)
	}
	s.statement()
	return s.mentions, s.includes, whole
}

// A scanner cuts a file into statements: up to a line's end, a ; or a brace.
type scanner struct {
	table    string
	words    []token // of the statement
	depth    int
	ours     bool // in the block of our table
	mentions []mention
	includes []nftInclude
}

func (s *scanner) add(t token) {
	switch t.text {
	case "{":
		s.statement()
		s.depth++
	case "}":
		s.statement()
		s.depth = max(s.depth-1, 0)
		s.ours = s.ours && s.depth > 0
	case ";", "\n":
		s.statement()
	default:
		s.words = append(s.words, t)
	}
}

// statement looks at the words of a statement that has ended.
func (s *scanner) statement() {
	words := s.words
	s.words = s.words[:0]
	switch {
	case len(words) == 0:
	case s.depth > 0:
		s.inBlock(words)
	case words[0].text == "include" && len(words) > 1:
		s.includes = append(s.includes, nftInclude{words[0].line, words[1].text})
	default:
		s.command(words)
	}
}

// inBlock looks for the flags of our table. nft 1.0.6 prints those that it does not know as
// nothing, and reads neither nothing nor "owner" or "persist".
func (s *scanner) inBlock(words []token) {
	if s.ours && s.depth == 1 && words[0].text == "flags" && len(s.mentions) > 0 {
		s.mentions[len(s.mentions)-1].kind = badFlags
	}
}

// command looks for a command about our table: "table inet NAME", perhaps with a verb
// before it, or "add rule inet NAME ...".
func (s *scanner) command(words []token) {
	kind, at := declares, 0
	switch words[0].text {
	case "add", "create", "insert", "replace":
		at = 1
	case "delete", "destroy", "flush", "reset":
		kind, at = takesAway, 1
	case "list", "get", "describe", "monitor", "rename", "define", "undefine", "redefine":
		return
	}
	if at+2 >= len(words) || words[at+1].text != "inet" || words[at+2].text != s.table {
		return
	}
	s.ours = words[at].text == "table"
	s.mentions = append(s.mentions, mention{words[0].line, kind})
}
