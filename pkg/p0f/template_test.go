package p0f

import (
	"slices"
	"testing"

	"nftknock/pkg/packet"
)

// A template reads the same features as readOptions.
func FuzzTemplate(f *testing.F) {
	db := Builtin()
	for _, name := range []string{"linux-6.18", "scanners", "probes"} {
		for _, p := range decodePcap(f, "testdata/"+name+".pcap") {
			f.Add([]byte(p.TCP.Options))
		}
	}
	for _, x := range db.index {
		for _, templates := range x.templates {
			for _, t := range templates {
				f.Add(generateOptions(Signature{Layout: t.group.layout}, 0, 1460))
				f.Add(generateOptions(Signature{Layout: t.group.layout, Scale: 15}, QuirkTSZero|QuirkTSPeer|QuirkPadding, 1460))
			}
		}
	}
	f.Fuzz(func(t *testing.T, options []byte) {
		if len(options) > maxTCPOptions {
			return
		}
		for i := range db.index {
			x := &db.index[i]
			var fast, slow features
			g := x.recognise(&fast, packet.Options(options))
			if g == nil {
				if fast != (features{}) {
					t.Fatalf("% x: not recognised, but left %+v", options, fast)
				}
				continue
			}
			layout := slow.readOptions(options)
			if layout != g.layout || x.find(&layout) != g {
				t.Fatalf("% x: recognised as %v, and is %v", options, g.layout, layout)
			}
			if fast != slow {
				t.Fatalf("% x:\nfast %+v\nslow %+v", options, fast, slow)
			}
		}
	})
}

// The layouts of today's systems have templates, which are faster than readOptions.
func TestCommonLayoutsHaveTemplates(t *testing.T) {
	for _, text := range []string{
		"mss,sok,ts,nop,ws", "mss,nop,ws,nop,nop,sok", "mss,nop,ws,nop,nop,ts,sok,eol+1", "mss,nop,nop,sok", "mss",
	} {
		l := layoutOf(t, text)
		for i, x := range Builtin().index {
			if !slices.ContainsFunc(x.templates[l.words()], func(t template) bool { return t.group.layout == l }) {
				t.Errorf("%s has no template for IPv%d", text, 4+2*i)
			}
		}
	}
}
