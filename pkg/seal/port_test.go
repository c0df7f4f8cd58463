package seal

import "testing"

func TestLengths(t *testing.T) {
	if SIVLen4 != 38 || SIVLen6 != 50 {
		t.Errorf("got %d and %d, want 38 and 50", SIVLen4, SIVLen6)
	}
}

func TestPorts(t *testing.T) {
	for _, c := range []struct {
		name      string
		got, want uint16
	}{
		{"first ordered", OrderedPort(DefaultBase, 0), 61000},
		{"last ordered", OrderedPort(DefaultBase, 255), 61255},
		{"highest ordered", OrderedPort(MaxBase, 255), 65535},
		{"first lane", LanePort(DefaultLaneBase, 0, 0), 48000},
		{"second lane", LanePort(DefaultLaneBase, 1, 7), 48263},
		{"last lane of IPv4", LanePort(DefaultLaneBase, SIVLen4-1, 255), 57727},
		{"last lane of IPv6", LanePort(DefaultLaneBase, SIVLen6-1, 255), 60799},
		{"highest lane", LanePort(MaxLaneBase, SIVLen6-1, 255), 65535},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, c.got, c.want)
		}
	}
}
