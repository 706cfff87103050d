package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
)

// newUI serves the web UI with the assets that are embedded in the program. It admits no other origin, and
// everything that would fetch from outside this machine is off.
func newUI(ip string, port int, frontend, namespace string) *uiserver.Server {
	host := ip
	if net.ParseIP(ip).To4() == nil {
		host = "[" + ip + "]" // the UI server joins host and port without brackets
	}
	return uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		TemporalGRPCAddress: frontend,
		Host:                host,
		Port:                port,
		EnableUI:            true,
		DefaultNamespace:    namespace,
		DisableNewsFetch:    true,
		HideLogs:            true,
		CORS:                uiconfig.CORS{CookieInsecure: true}, // plain HTTP: a secure cookie would never come back
	}))
}

// uiURL is where a browser on this machine finds the UI.
func uiURL(ip string, port int) string {
	return "http://" + net.JoinHostPort(reachable(ip), strconv.Itoa(port))
}

// checkUI asks the UI for a page.
func checkUI(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/", nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("the UI answers %s", response.Status)
	}
	return nil
}
