// What Istio's agent asks of a certificate authority, by its own code: its key and request (security/pkg/pki/util) and its
// client (security/pkg/nodeagent/caclient/providers/citadel).
//
// Reads one JSON object a line, see `question`; writes one a line: {"chain": [PEM, ...], "key": PEM, "error": TEXT}.
package main

import (
	"bufio"
	"encoding/json"
	"os"

	"istio.io/istio/pkg/security"
	"istio.io/istio/security/pkg/credentialfetcher/plugin"
	citadel "istio.io/istio/security/pkg/nodeagent/caclient/providers/citadel"
	"istio.io/istio/security/pkg/pki/util"
)

type question struct {
	Endpoint string `json:"endpoint"`
	// The name in the server's certificate.
	Name string `json:"name"`
	// Files: what is trusted, the token, the present certificate and its key.
	Root  string `json:"root"`
	Token string `json:"token"`
	Cert  string `json:"cert"`
	Key   string `json:"key"`
	// The identity in the request.
	Identity string `json:"identity"`
	RSA      bool   `json:"rsa"`
	Seconds  int64  `json:"seconds"`
}

type answer struct {
	Chain []string `json:"chain"`
	Key   string   `json:"key"`
	Error string   `json:"error"`
}

func main() {
	lines := bufio.NewReader(os.Stdin)
	for {
		line, err := lines.ReadBytes('\n')
		if len(line) == 0 || err != nil {
			return
		}
		var asked question
		var given answer
		if err := json.Unmarshal(line, &asked); err != nil {
			given.Error = err.Error()
		} else if given.Chain, given.Key, err = ask(asked); err != nil {
			given.Error = err.Error()
		}
		written, _ := json.Marshal(given)
		os.Stdout.Write(append(written, '\n'))
	}
}

func ask(asked question) ([]string, string, error) {
	options := util.CertOptions{Host: asked.Identity, RSAKeySize: 2048, PKCS8Key: true}
	if !asked.RSA {
		options.ECSigAlg, options.ECCCurve = util.EcdsaSigAlg, util.P256Curve
	}
	request, key, err := util.GenCSR(options)
	if err != nil {
		return nil, "", err
	}
	settings := &security.Options{CAEndpoint: asked.Endpoint, CAEndpointSAN: asked.Name, ClusterID: "Kubernetes"}
	if asked.Token != "" {
		settings.CredFetcher = plugin.CreateTokenPlugin(asked.Token)
	}
	tls := &citadel.TLSOptions{RootCert: asked.Root, Key: asked.Key, Cert: asked.Cert}
	client, err := citadel.NewCitadelClient(settings, tls)
	if err != nil {
		return nil, "", err
	}
	defer client.Close()
	chain, err := client.CSRSign(request, asked.Seconds)
	return chain, string(key), err
}
