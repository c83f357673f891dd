using System.Threading;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Quietus.Cli.Serve;

namespace Quietus.Service;

/// <summary>Which request is which, as the OpenAPI document says it.</summary>
internal static class Routes
{
    private const string Lines = "application/x-ndjson";
    private const string Bytes = "application/octet-stream";

    public static void Map(IEndpointRouteBuilder app, Api api, Observer observer)
    {
        app.MapGet("/v1/health", () => api.Health()).WithSummary("Whether the server takes work");
        app.MapGet("/v1/overview", (CancellationToken cancellation) => observer.LookAsync(cancellation))
            .WithSummary("All that the page shows: VMs with CPU and memory, percentiles, what memory is used as");
        MapTemplates(app, api);
        MapVms(app, api);
        MapFiles(app, api);
    }

    private static void MapTemplates(IEndpointRouteBuilder app, Api api)
    {
        app.MapGet("/v1/templates", () => api.Templates())
            .WithSummary("The templates that are held warm, and names of others that could be");
        app.MapPost("/v1/templates", (HoldRequest request, HttpContext context) => api.HoldAsync(request, context))
            .WithSummary("Hold a template warm from now on: one that was built, or is held already").Refuses();
        app.MapDelete("/v1/templates/{name}", async (string name, bool? force, HttpContext context) =>
        {
            await api.ReleaseAsync(name, force == true, context).ConfigureAwait(false);
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }).WithSummary("Hold a template no more; with force, also where VMs of it live, which end")
            .Produces(204).Refuses();
        app.MapPost("/v1/templates/{name}/exec", (string name, ExecRequest request, HttpContext context) =>
            api.ExecAsync(name, request, context))
            .WithSummary("Run a program in a fresh VM, which is dead when the answer ends: one JSON object a line")
            .Produces<ExecLine>(200, Lines).Refuses();
        app.MapGet("/v1/templates/{name}/run", (string name, HttpContext context) =>
            api.ExecLiveAsync(name, context))
            .WithSummary("The same over a WebSocket: input, output, signals, files, a terminal (docs/serve.md)")
            .Produces(101).Refuses();
        app.MapPost("/v1/templates/{name}/vms", (string name, HttpContext context) => api.BearAsync(name, context))
            .WithSummary("A fresh VM that lives until it is killed").Refuses();
    }

    private static void MapVms(IEndpointRouteBuilder app, Api api)
    {
        app.MapGet("/v1/vms", () => api.Vms()).WithSummary("The VMs, those of running jobs among them");
        app.MapGet("/v1/vms/{id:long}", (long id) => api.Vm(id)).WithSummary("One VM").Refuses();
        app.MapDelete("/v1/vms/{id:long}", async (long id, HttpContext context) =>
        {
            await api.KillAsync(id, context).ConfigureAwait(false);
            context.Response.StatusCode = StatusCodes.Status204NoContent;
        }).WithSummary("Kill a VM").Produces(204).Refuses();
        app.MapPost("/v1/vms/{id:long}/exec", (long id, ExecRequest request, HttpContext context) =>
            api.ExecInVmAsync(id, request, context))
            .WithSummary("Run a program in a VM that lives on: one JSON object a line")
            .Produces<ExecLine>(200, Lines).Refuses();
        app.MapGet("/v1/vms/{id:long}/run", (long id, HttpContext context) => api.ExecLiveInVmAsync(id, context))
            .WithSummary("The same over a WebSocket").Produces(101).Refuses();
        app.MapPost("/v1/vms/{id:long}/reset", (long id, HttpContext context) => api.ResetAsync(id, context))
            .WithSummary("Put a VM back to its birth").Refuses();
        app.MapPost("/v1/vms/{id:long}/freeze", (long id, HttpContext context) => api.FreezeAsync(id, context))
            .WithSummary("Make a template of a VM").Refuses();
        app.MapPost("/v1/vms/{id:long}/fork", (long id, HttpContext context) => api.ForkAsync(id, context))
            .WithSummary("A child of a VM that was frozen").Refuses();
    }

    private static void MapFiles(IEndpointRouteBuilder app, Api api)
    {
        app.MapPut("/v1/vms/{id:long}/files", (long id, string path, HttpContext context) =>
            api.PutFileAsync(id, path, context))
            .WithSummary("Write a file in a VM: the body, whose length is told").Produces(204).Refuses();
        app.MapGet("/v1/vms/{id:long}/files", (long id, string path, HttpContext context) =>
            api.GetFileAsync(id, path, context))
            .WithSummary("Read a file of a VM's").Produces<byte[]>(200, Bytes).Refuses();
    }

    /// <summary>Every refusal has the same body.</summary>
    private static void Refuses(this RouteHandlerBuilder route)
    {
        foreach (int status in (int[])[400, 401, 404, 409, 429, 500, 503])
        {
            route.Produces<Problem>(status);
        }
    }
}
