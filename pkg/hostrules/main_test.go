package hostrules

import (
	"testing"

	"nftknock/test/netns/netnstest"
)

func TestMain(m *testing.M) { netnstest.Main(m) }
