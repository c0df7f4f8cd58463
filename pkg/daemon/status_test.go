package daemon_test

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"nftknock/pkg/control"
	"nftknock/pkg/policy"
)

func (r *rig) status(q control.StatusQuery) control.Status {
	r.Helper()
	s, err := r.daemon.Status(context.Background(), q)
	if err != nil {
		r.Fatal(err)
	}
	return s
}

func TestStatus(t *testing.T) {
	began := time.Now()
	r := start(t, ssh)
	s := r.status(control.StatusQuery{})
	if !s.Ready || len(s.Problems) != 0 || s.Grants != 0 || s.Accesses != 1 || s.Owner != "off" || s.Mode != "gate" || s.Hide != "drop" ||
		!slices.Equal(s.Hidden, []string{"tcp/22"}) || s.Table != "nftknock" || s.Store != "not needed" || s.Policy != "current" {
		t.Errorf("at first: %+v", s)
	}
	if s.Since.Before(began) || s.PolicySince.Before(s.Since) {
		t.Errorf("began %v, since %v, policy since %v", began, s.Since, s.PolicySince)
	}
	r.knock(10, 7300, 7100, 7200)
	r.log.await(t, "granted 192.0.2.10 ")
	s = r.status(control.StatusQuery{})
	if s.Grants != 1 || s.Packets != 3 || len(s.In) != 1 || s.In[0].Src != "192.0.2.10" || s.In[0].Open != "tcp/22" ||
		s.In[0].Access != "ssh" || s.In[0].Knock != "shared" || s.In[0].Remaining < 20 || s.In[0].Remaining > 30 {
		t.Errorf("with a grant: %+v", s)
	}
	if s := r.status(control.StatusQuery{Brief: true}); s.Grants != -1 || len(s.In) != 0 || !s.Ready {
		t.Errorf("in brief: %+v", s)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
}

// Whatever is wrong is told as long as it is, and no longer.
func TestTheStatusSaysWhatIsWrong(t *testing.T) {
	r := start(t, ssh)
	problem := func(name, text string, ready bool) {
		t.Helper()
		eventually(t, "a problem "+name, func() bool {
			s := r.status(control.StatusQuery{Brief: true})
			return len(s.Problems) == 1 && s.Problems[0].Name == name && strings.Contains(s.Problems[0].Text, text) && s.Ready == ready
		})
	}
	none := func() {
		t.Helper()
		eventually(t, "no problem", func() bool {
			s := r.status(control.StatusQuery{Brief: true})
			return len(s.Problems) == 0 && s.Ready && s.Policy == "current"
		})
	}
	none()
	bad := policy.Diagnostic{File: "test.toml", Line: 3, Column: 1, Severity: policy.SeverityError, Message: "this is wrong"}
	if err := r.reload(ssh, bad); err == nil {
		t.Fatal("a bad policy was taken")
	}
	problem("policy", "this is wrong", true)
	if s := r.status(control.StatusQuery{Brief: true}); s.Policy != "earlier" {
		t.Errorf("policy %q, want an earlier one", s.Policy)
	}
	if err := r.reload(ssh); err != nil {
		t.Fatal(err)
	}
	none()
	r.gate.fail(errors.New("the kernel will not"))
	r.gate.Flush()
	problem("table", "the kernel will not", false)
	r.gate.fail(nil)
	none()
}

func TestGrantsAreListed(t *testing.T) {
	r := start(t, ssh)
	for host := byte(10); host < 13; host++ {
		r.knock(host, 7300, 7100, 7200)
	}
	r.log.await(t, "granted 192.0.2.12 ")
	all, err := r.daemon.Grants(context.Background(), control.GrantQuery{})
	if err != nil || all.Total != 3 || len(all.Grants) != 3 || all.Grants[0].Src != "192.0.2.10" {
		t.Errorf("%+v, %v", all, err)
	}
	some, err := r.daemon.Grants(context.Background(), control.GrantQuery{Within: netip.MustParsePrefix("192.0.2.12/31")})
	if err != nil || some.Total != 1 || some.Grants[0].Src != "192.0.2.12" {
		t.Errorf("%+v, %v", some, err)
	}
}

func TestGrantByHand(t *testing.T) {
	r := start(t, ssh)
	host := netip.MustParsePrefix("192.0.2.77/32")
	done, err := r.daemon.Grant(context.Background(), control.Grantee{Source: host, What: "tcp/22", For: 2 * time.Second})
	if err != nil || len(done.Grants) != 1 || done.Grants[0].Remaining != 2 {
		t.Fatalf("%+v, %v", done, err)
	}
	r.log.await(t, "granted 192.0.2.77 access to tcp/22 for 2s by hand [event=granted_by_hand src=192.0.2.77 access=ssh open=tcp/22 timeout=2s]")
	list, err := r.gate.Grants()
	if err != nil || len(list) != 1 || list[0].Timeout != 2*time.Second || list[0].Method != control.ByHand {
		t.Errorf("%+v, %v", list, err)
	}
	r.log.await(t, "access of 192.0.2.77 to tcp/22 ended, 2s timeout exceeded")
	for what, want := range map[string]string{"tcp/23": "tcp/23 is not hidden", "web": `no access is called "web"`} {
		if _, err := r.daemon.Grant(context.Background(), control.Grantee{Source: host, What: what}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", what, err, want)
		}
	}
	// A table that is gone is written again for it, as for a knock.
	r.gate.Flush()
	if _, err := r.daemon.Grant(context.Background(), control.Grantee{Source: host, What: "ssh"}); err != nil {
		t.Error(err)
	}
}
