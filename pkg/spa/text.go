package spa

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// sender is the address in MSG that stands for the sender of the packet.
const sender = "0.0.0.0"

// The indices of the fields that all messages have before the digest.
const (
	fieldRandom = iota
	fieldUser
	fieldTime
	fieldVersion
	fieldType
	fieldRequest
	fieldOptions // the first field that only some messages have
)

// parseText reads the plain text of a message up to the digest and the colon
// before it.
func parseText(text string) (Message, error) {
	f := strings.Split(text, ":")
	if len(f) < fieldOptions {
		return Message{}, errFields
	}
	unix, ok := parseDecimal(f[fieldTime], maxTime)
	if !ok {
		return Message{}, errors.New("bad time: want decimal digits, 12 or fewer")
	}
	kind, ok := parseDecimal(f[fieldType], math.MaxUint8)
	if !ok {
		return Message{}, errors.New("bad type: want 0 to 6")
	}
	m := Message{
		Random:  f[fieldRandom],
		Time:    time.Unix(int64(unix), 0).UTC(),
		Version: f[fieldVersion],
		Type:    Type(kind),
	}
	var err error
	if m.User, err = decodeField("user name", f[fieldUser]); err != nil {
		return Message{}, err
	}
	return m.parseRest(f[fieldRequest:])
}

// parseRest reads the fields from MSG on.
func (m Message) parseRest(f []string) (Message, error) {
	// The fields before MSG must be right whatever the type; a type that opens nothing
	// is told by its own reason, even if the rest is not as fwknop's client writes it.
	if err := m.checkHead(); err != nil {
		return Message{}, err
	}
	full := m
	err := full.parseRequest(f[0])
	if err == nil {
		err = full.parseOptions(f[1:])
	}
	if err == nil {
		err = full.checkBody()
	}
	switch {
	case err == nil:
		return full, nil
	case m.Type.opens():
		return Message{}, err
	}
	return m, nil
}

// parseRequest reads the field MSG: an address, and services or a command.
func (m *Message) parseRequest(field string) error {
	text, err := decodeField("request", field)
	if err != nil {
		return err
	}
	address, rest, _ := strings.Cut(text, ",")
	if m.Address, err = parseAddress(address); err != nil {
		return err
	}
	if m.Address.IsUnspecified() {
		m.Address = netip.Addr{}
	}
	if m.Type == Command {
		m.Command = rest
		return nil
	}
	for part := range strings.SplitSeq(rest, ",") {
		s, err := parseService(part)
		if err != nil {
			return err
		}
		m.Services = append(m.Services, s)
	}
	return nil
}

// parseOptions reads the fields after MSG.
func (m *Message) parseOptions(f []string) error {
	// The type of the message says whether NAT is the first field and TIMEOUT the last.
	// One more field is SERVER_AUTH.
	var err error
	if m.Type.NAT() && len(f) > 0 {
		if m.NAT, err = decodeField("NAT destination", f[0]); err != nil {
			return err
		}
		f = f[1:]
	}
	if last := len(f) - 1; m.Type.timed() && last >= 0 {
		seconds, ok := parseDecimal(f[last], maxTimeout)
		if !ok {
			return errTimeout
		}
		m.Timeout = time.Duration(seconds) * time.Second
		f = f[:last]
	}
	switch len(f) {
	case 0:
		return nil
	case 1:
		m.ServerAuth, err = decodeField("server authentication", f[0])
		return err
	}
	return errFields
}

var errFields = errors.New("bad number of fields: want those of the type")

// decodeField decodes a field in base64, which must not be empty.
func decodeField(name, field string) (string, error) {
	b, err := decodeBase64(unpadField([]byte(field)))
	if err != nil || len(b) == 0 {
		return "", fmt.Errorf("bad %s: want base64 in its canonical form", name)
	}
	return string(b), nil
}

// unpadField removes the "=" at the end of a field in base64, if they are as many as its
// length needs. Any other stays, and makes decodeBase64 fail.
func unpadField(field []byte) []byte {
	// RFC 4648, section 4: groups of four characters, of which the last one may end in
	// one or two "=".
	if n := len(field); n%4 == 0 {
		text := bytes.TrimRight(field, "=")
		if n-len(text) <= 2 {
			return text
		}
	}
	return field
}

// parseAddress reads an address in the form of netip.Addr.String.
func parseAddress(s string) (netip.Addr, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.String() != s {
		return netip.Addr{}, errAddress
	}
	return a, checkAddress(a)
}

// checkAddress refuses addresses with a zone, which has no meaning on another host, and
// IPv4-mapped addresses, which are a second form of IPv4 addresses.
func checkAddress(a netip.Addr) error {
	if a.Zone() != "" || a.Is4In6() {
		return errAddress
	}
	return nil
}

// text returns the plain text that parseText reads: the message without the digest and
// the colon before it.
func (m *Message) text() []byte {
	b := []byte(m.Random)
	b = b64.AppendEncode(append(b, ':'), []byte(m.User))
	b = strconv.AppendInt(append(b, ':'), m.Time.Unix(), 10)
	b = append(append(b, ':'), m.Version...)
	b = strconv.AppendUint(append(b, ':'), uint64(m.Type), 10)
	b = b64.AppendEncode(append(b, ':'), m.request())
	if m.Type.NAT() {
		b = b64.AppendEncode(append(b, ':'), []byte(m.NAT))
	}
	if m.ServerAuth != "" {
		b = b64.AppendEncode(append(b, ':'), []byte(m.ServerAuth))
	}
	if m.Type.timed() {
		b = strconv.AppendInt(append(b, ':'), int64(m.Timeout/time.Second), 10)
	}
	return b
}

// request returns the field MSG before its encoding.
func (m *Message) request() []byte {
	var b []byte
	if !m.Address.IsValid() || m.Address.IsUnspecified() {
		b = append(b, sender...)
	} else {
		b = m.Address.AppendTo(b)
	}
	if m.Type == Command {
		return append(append(b, ','), m.Command...)
	}
	for _, s := range m.Services {
		b = append(append(b, ','), s.String()...)
	}
	return b
}
