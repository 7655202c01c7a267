// Command gitops does to a cluster what Flux and Argo CD do, with their own libraries: it is what the scenarios on
// GitOps apply, wait and judge with.
//
//	gitops apply FILE          apply as Flux does; prints what became of each object: created, configured, unchanged
//	gitops wait FILE DURATION  wait as Flux does until all objects are there and ready
//	gitops kstatus FILE        the status that Flux gives an object, in JSON
//	gitops health FILE SCRIPT  the health that Argo CD gives it by this Lua script
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/fluxcd/cli-utils/pkg/kstatus/polling"
	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"github.com/fluxcd/pkg/ssa"
	"github.com/fluxcd/pkg/ssa/utils"
	lua "github.com/yuin/gopher-lua"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
)

// owner is Flux's own name for what it applies from a Kustomization.
var owner = ssa.Owner{Field: "kustomize-controller", Group: "kustomize.toolkit.fluxcd.io"}

func main() {
	log.SetLogger(zap.New(zap.WriteTo(io.Discard)))
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gitops:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	switch {
	case len(args) == 2 && args[0] == "apply":
		return apply(args[1])
	case len(args) == 3 && args[0] == "wait":
		return wait(args[1], args[2])
	case len(args) == 2 && args[0] == "kstatus":
		return kstatus(args[1])
	case len(args) == 3 && args[0] == "health":
		return health(args[1], args[2])
	default:
		return errors.New("apply FILE, wait FILE DURATION, kstatus FILE or health FILE SCRIPT")
	}
}

func manager() (*ssa.ResourceManager, error) {
	settings, err := config.GetConfig()
	if err != nil {
		return nil, err
	}
	web, err := rest.HTTPClientFor(settings)
	if err != nil {
		return nil, err
	}
	mapper, err := apiutil.NewDynamicRESTMapper(settings, web)
	if err != nil {
		return nil, err
	}
	kube, err := client.New(settings, client.Options{Mapper: mapper})
	if err != nil {
		return nil, err
	}
	poller := polling.NewStatusPoller(kube, mapper, polling.Options{})
	return ssa.NewResourceManager(kube, poller, owner), nil
}

func objects(path string) ([]*unstructured.Unstructured, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return utils.ReadObjects(file)
}

func apply(path string) error {
	flux, err := manager()
	if err != nil {
		return err
	}
	wanted, err := objects(path)
	if err != nil {
		return err
	}
	changes, err := flux.ApplyAll(context.Background(), wanted, ssa.DefaultApplyOptions())
	if err != nil {
		return err
	}
	for _, entry := range changes.Entries {
		fmt.Println(entry.Action, entry.Subject)
	}
	return nil
}

func wait(path, patience string) error {
	timeout, err := time.ParseDuration(patience)
	if err != nil {
		return err
	}
	flux, err := manager()
	if err != nil {
		return err
	}
	wanted, err := objects(path)
	if err != nil {
		return err
	}
	return flux.Wait(wanted, ssa.WaitOptions{Interval: 200 * time.Millisecond, Timeout: timeout, FailFast: true})
}

func object(path string) (*unstructured.Unstructured, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	read := &unstructured.Unstructured{}
	return read, read.UnmarshalJSON(text)
}

func kstatus(path string) error {
	read, err := object(path)
	if err != nil {
		return err
	}
	result, err := status.Compute(read)
	if err != nil {
		return err
	}
	fmt.Println(result.Status)
	return nil
}

// health runs a script as Argo CD does: the object is the global obj, and the script returns a table.
func health(path, lines string) error {
	read, err := object(path)
	if err != nil {
		return err
	}
	script, err := os.ReadFile(lines)
	if err != nil {
		return err
	}
	// Argo CD gives scripts no library but these.
	state := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer state.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := state.CallByParam(lua.P{Fn: state.NewFunction(open), NRet: 0, Protect: true}, lua.LString(name)); err != nil {
			return err
		}
	}
	state.SetGlobal("obj", value(state, read.Object))
	if err := state.DoString(string(script)); err != nil {
		return err
	}
	result, ok := state.Get(-1).(*lua.LTable)
	if !ok {
		return errors.New("the script returned no table")
	}
	fmt.Println(result.RawGetString("status"), result.RawGetString("message"))
	return nil
}

// value is a JSON value as Lua has it.
func value(state *lua.LState, from any) lua.LValue {
	switch from := from.(type) {
	case bool:
		return lua.LBool(from)
	case string:
		return lua.LString(from)
	case int64:
		return lua.LNumber(from)
	case float64:
		return lua.LNumber(from)
	case []any:
		table := state.CreateTable(len(from), 0)
		for _, item := range from {
			table.Append(value(state, item))
		}
		return table
	case map[string]any:
		table := state.CreateTable(0, len(from))
		for key, item := range from {
			table.RawSetString(key, value(state, item))
		}
		return table
	default:
		return lua.LNil
	}
}
