package knock_test

import (
	"strings"
	"testing"
	"time"

	"nftknock/pkg/knock"
	"nftknock/pkg/packet"
	"nftknock/pkg/port"
	"nftknock/pkg/seal"
	"nftknock/pkg/totp"
)

// foreignKey is an OrderedKey of nobody's encoding.
type foreignKey struct{ knock.OrderedKey }

func TestKnocksWithoutAKindOrKey(t *testing.T) {
	const noKnock, noKey = "it has no knock", "its knock has no key"
	for _, c := range []struct {
		name string
		kind knock.Kind
		want string
	}{
		{"nil", nil, noKnock},
		{"nil *Shared", (*knock.Shared)(nil), noKnock},
		{"nil *SIV", (*knock.SIV)(nil), noKnock},
		{"nil *Ordered", (*knock.Ordered)(nil), noKnock},
		{"nil *TOTP", (*knock.TOTP)(nil), noKnock},
		{"nil *SPA", (*knock.SPA)(nil), noKnock},
		{"SIV", knock.SIV{}, noKey},
		{"*SIV", &knock.SIV{}, noKey},
		{"Ordered", knock.Ordered{}, noKey},
		{"Ordered with a nil Article", knock.Ordered{Key: (*seal.Article)(nil)}, noKey},
		{"Ordered with a nil Fwknop19", knock.Ordered{Key: (*seal.Fwknop19)(nil)}, noKey},
		{"Ordered with a foreign key", knock.Ordered{Key: foreignKey{}},
			"bad key knock_test.foreignKey: want a *seal.Article or *seal.Fwknop19"},
		{"TOTP", knock.TOTP{}, noKey},
		{"SPA", knock.SPA{}, noKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := knock.New(knock.Config{MaxSources: 1, Accesses: []knock.Access{{Name: "ssh", Knock: c.kind}}})
			if want := `access "ssh": ` + c.want; err == nil || err.Error() != want {
				t.Errorf("error %v, want %s", err, want)
			}
		})
	}
}

// A pointer to a kind is as good as the kind.
func TestPointersToKinds(t *testing.T) {
	secret, article := totpSecret(t, 1), articleKey(t, "fwknoptest")
	siv := sivAccess(sivKey(t, 1)).Knock.(knock.SIV)
	ordered := orderedAccess(article).Knock.(knock.Ordered)
	code := totpAccess("phone", secret).Knock.(knock.TOTP)
	single := spaAccess(spaKey(t, 1)).Knock.(knock.SPA)
	seq := shared(access(t, "udp/1000, udp/2000"))
	var accesses []knock.Access
	for _, k := range []knock.Kind{&siv, &ordered, &code, &single, &seq} {
		accesses = append(accesses, knock.Access{Name: "ssh", Knock: k})
	}
	e := engine(t, knock.Config{Accesses: accesses})
	check(t, "siv", send(e, epoch, burst(alice, token(t, sivKey(t, 1), knockSSH(epoch)), udp)...), "granted")
	check(t, "ordered", send(e, epoch, row(alice, article.message(t, knockSSH(time.Time{})), udp)...), "granted")
	check(t, "totp", send(e, epoch, dial(alice, secret.Code(totp.Step(epoch)))...), "granted")
	check(t, "spa", send(e, epoch, datagram(alice, authorization(t, spaKey(t, 1), askSSH(epoch)))), "granted")
	if got := play(t, e, alice, "0s udp/1000, 1s udp/2000"); got != "granted" {
		t.Errorf("shared: %q, want granted", got)
	}
}

func TestPortsOfKinds(t *testing.T) {
	for want, k := range map[string]knock.Kind{
		"tcp/48000-60799,udp/48000-60799": knock.SIV{Base: seal.DefaultLaneBase, Protocols: both},
		"tcp/61000-61255,udp/61000-61255": knock.Ordered{Base: seal.DefaultBase, Protocols: both},
		"udp/40000-40399":                 knock.TOTP{Base: totp.DefaultBase, Protocols: both[1:]},
		"udp/62201":                       knock.SPA{Port: spaPort},
		"tcp/62201,udp/62201,icmp":        knock.SPA{Port: spaPort, Protocols: []packet.Protocol{packet.TCP, packet.UDP, packet.ICMP}},
		"udp/10000-65535":                 knock.SPA{Port: 10000, LastPort: 65535},
		"tcp/1,udp/2":                     knock.Shared{Sequence: sequence(t, "tcp/1, icmp, udp/2")},
	} {
		if got := port.Join(k.Ports()); got != want {
			t.Errorf("%s, want %s", strings.ReplaceAll(got, ",", ", "), want)
		}
	}
}
