// What CoreDNS' own parser reads in Corefiles, as JSON by their paths.
package main

import (
	"encoding/json"
	"os"

	"github.com/coredns/caddy/caddyfile"
)

func main() {
	said := map[string]any{}
	for _, path := range os.Args[1:] {
		text, err := os.ReadFile(path)
		if err != nil {
			panic(err)
		}
		if read, err := caddyfile.ToJSON(text); err != nil {
			said[path] = map[string]string{"refused": err.Error()}
		} else {
			said[path] = map[string]any{"read": json.RawMessage(read)}
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		panic(err)
	}
}
