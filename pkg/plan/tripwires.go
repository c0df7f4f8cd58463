package plan

import (
	"slices"

	"nftknock/pkg/knock"
	"nftknock/pkg/policy"
	"nftknock/pkg/port"
)

// tripwires chooses n ports to which honest clients have no reason to send packets: no
// port that an access uses, and no busy port.
func tripwires(accesses []*policy.Access, n int) []port.Range {
	var (
		sequences [][]port.Range
		taken     []port.Range
	)
	for _, a := range accesses {
		taken = append(taken, a.Open...)
		if a.Kind == policy.KindShared {
			sequences = append(sequences, a.Sequence)
		} else if !a.ByPayload() { // it takes no port from tripwires either
			taken = append(taken, a.KnockPorts()...)
		}
	}
	taken = distinct(taken) // it is searched once per candidate
	return knock.Tripwires(n, sequences, func(e port.Range) bool {
		return slices.Contains(busyPorts, e.First) || slices.ContainsFunc(taken, e.Overlaps)
	})
}

// busyPorts are ports above 1023 on which servers commonly listen, from IANA's registry of
// service names and the defaults of widely used software.
var busyPorts = []uint16{
	1080, 1194, 1433, 1521, 1701, 1723, 1812, 1813, 1883, 1900, 2049, 2181,
	2222, 2375, 2376, 2377, 2379, 2380, 3000, 3128, 3260, 3268, 3269, 3306,
	3389, 3478, 3479, 4222, 4369, 4500, 4646, 4789, 5000, 5060, 5061, 5201,
	5222, 5269, 5349, 5353, 5355, 5432, 5671, 5672, 5900, 5901, 5984, 5985,
	5986, 6000, 6081, 6379, 6443, 6514, 6660, 6667, 6697, 6881, 7946, 8000,
	8008, 8080, 8081, 8086, 8088, 8125, 8443, 8472, 8500, 8883, 8888, 9000,
	9001, 9042, 9090, 9091, 9092, 9093, 9100, 9200, 9300, 9418, 9443, 10000,
	10050, 10051, 10250, 11211, 15672, 19132, 22000, 25565, 25826, 27015,
	27017, 28017, 32400, 41641, 50000, 51413, 51820, 64738,
}
