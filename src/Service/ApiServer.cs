using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Runtime.InteropServices;
using System.Threading;
using System.Threading.Tasks;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Routing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Microsoft.Extensions.Logging;
using OpenTelemetry.Metrics;
using OpenTelemetry.Resources;
using Quietus.Cli;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Processes;
using Quietus.Cli.Qemu;
using Quietus.Cli.Serve;
using Quietus.Cli.Templates;
using Quietus.Cli.Terminals;

namespace Quietus.Service;

/// <summary>The server: where it listens, who may ask, and how it starts and stops.</summary>
internal static class ApiServer
{
    private const uint Anyone = 0x1FF;
    private static readonly TimeSpan _ping = TimeSpan.FromSeconds(2);

    /// <summary>Serves until it is told to stop.</summary>
    public static async Task<int> RunAsync(ServePlan plan, CancellationToken cancellation)
    {
        using var folder = new RunFolder();
        QemuBinary qemu = await QemuBinary.FindAsync(cancellation).ConfigureAwait(false);
        string image = CommonOptions.FindImage();
        var hosts = new TemplateHosts(plan, qemu, image, folder);
        await using (hosts.ConfigureAwait(false))
        {
            hosts.Begin();
            using var statistics = new Statistics(hosts);
            using var api = new Api(plan, hosts, statistics);
            using var observer = new Observer(api, hosts, statistics);
            WebApplication app = Build(plan, api, observer);
            await using (app.ConfigureAwait(false))
            {
                await StartAsync(plan, app, cancellation).ConfigureAwait(false);
                hosts.Start();
                await Task.WhenAny(Task.Delay(Timeout.Infinite, cancellation)).ConfigureAwait(false);
                Notice.Write("stopping");
                await api.StopAsync().ConfigureAwait(false);
                await app.StopAsync(CancellationToken.None).ConfigureAwait(false);
            }

            if (plan.Address.Socket is { } socket)
            {
                File.Delete(socket);
            }
        }

        return ExitCode.Ok;
    }

    private static async Task StartAsync(ServePlan plan, WebApplication app, CancellationToken cancellation)
    {
        if (plan.Address.IsLive())
        {
            throw new CliException(
                ExitCode.Failed, $"another server listens at {plan.Address}", "stop it, or choose another --listen");
        }

        uint before = NativeMethods.Mask(Anyone & ~(uint)plan.SocketMode);
        try
        {
            if (plan.Address.Socket is { } socket)
            {
                // What a server left that was killed.
                Directory.CreateDirectory(Path.GetDirectoryName(socket)!);
                File.Delete(socket);
            }

            await app.StartAsync(cancellation).ConfigureAwait(false);
        }
        catch (Exception error) when (error is IOException or UnauthorizedAccessException)
        {
            throw new CliException(
                ExitCode.Failed, "the server cannot listen: " + error.Message, "choose another --listen");
        }
        finally
        {
            _ = NativeMethods.Mask(before);
        }

        Notice.Write($"listening on {plan.Address}");
    }

    private static WebApplication Build(ServePlan plan, Api api, Observer observer)
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();

        // Signals are the command line's: see Interruption.
        builder.Services.AddSingleton<IHostLifetime, NoLifetime>();
        builder.WebHost.ConfigureKestrel(options =>
        {
            options.AddServerHeader = false;

            // A reader that stops stops its program; it is not cut off.
            options.Limits.MinResponseDataRate = null;
            options.Limits.MinRequestBodyDataRate = null;
            if (plan.Address.Socket is { } socket)
            {
                options.ListenUnixSocket(socket);
            }
            else
            {
                options.Listen(plan.Address.Port!);
            }
        });
        builder.Services.ConfigureHttpJsonOptions(options =>
        {
            // As the generated code has them: what the framework serializes by itself must not differ.
            options.SerializerOptions.PropertyNamingPolicy = MessageContext.Default.Options.PropertyNamingPolicy;
            options.SerializerOptions.DefaultIgnoreCondition = MessageContext.Default.Options.DefaultIgnoreCondition;
            options.SerializerOptions.UnmappedMemberHandling = MessageContext.Default.Options.UnmappedMemberHandling;
            options.SerializerOptions.TypeInfoResolverChain.Insert(0, MessageContext.Default);
        });
        builder.Services.Configure<RouteHandlerOptions>(options => options.ThrowOnBadRequest = true);
        builder.Services.AddOpenApi(options => options.AddDocumentTransformer((document, _, _) =>
        {
            document.Info.Title = "Quietus";
            document.Info.Description = "Linux VMs that are born for a program and dead after it: docs/serve.md.";
            return Task.CompletedTask;
        }));
        builder.Services.AddOpenTelemetry().ConfigureResource(resource =>
            resource.AddService("quietus", serviceVersion: ThisProgram.Version, autoGenerateServiceInstanceId: false))
            .WithMetrics(metrics =>
            metrics.AddMeter(Statistics.MeterName).AddPrometheusExporter());
        WebApplication app = builder.Build();
        app.Use(ExplainAsync);
        app.Use(PageFiles.ServeAsync);

        // A client that has gone is noticed at the next ping, also while nothing is read from it.
        app.UseWebSockets(new WebSocketOptions { KeepAliveInterval = _ping });
        if (plan.Token is { } token)
        {
            var access = new Access(token);
            app.Use((context, next) => access.Permits(context) ? next(context) : RefuseAsync(context));
        }

        Routes.Map(app, api, observer);
        app.MapOpenApi();
        app.MapPrometheusScrapingEndpoint();
        return app;
    }

    /// <summary>An error is a status and a <see cref="Problem"/>, as long as no answer has begun.</summary>
    private static async Task ExplainAsync(HttpContext context, RequestDelegate next)
    {
        try
        {
            await next(context).ConfigureAwait(false);
        }
        catch (ServiceException error) when (!context.Response.HasStarted)
        {
            if (error.IsWorthAnotherTry)
            {
                context.Response.Headers.RetryAfter = "1";
            }

            await WriteAsync(context, error.Problem).ConfigureAwait(false);
        }
        catch (BadHttpRequestException error) when (!context.Response.HasStarted)
        {
            await WriteAsync(context, new Problem(
                error.StatusCode, Printable.Line(error.InnerException?.Message ?? error.Message),
                "/openapi/v1.json describes each request")).ConfigureAwait(false);
        }
        catch (Exception error) when (error is ServiceException or OperationCanceledException or IOException)
        {
            // The client has gone, or has half an answer: the connection's end tells it.
            context.Abort();
        }
    }

    private static Task RefuseAsync(HttpContext context)
    {
        context.Response.Headers.WWWAuthenticate = "Bearer";
        return WriteAsync(context, new Problem(
            StatusCodes.Status401Unauthorized, "the token is missing or wrong",
            "send the header Authorization: Bearer TOKEN"));
    }

    private static Task WriteAsync(HttpContext context, Problem problem)
    {
        context.Response.StatusCode = problem.Status;
        return context.Response.WriteAsJsonAsync(problem, MessageContext.Default.Problem);
    }

    /// <summary>Starts and stops when the caller says.</summary>
    private sealed class NoLifetime : IHostLifetime
    {
        public Task WaitForStartAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        public Task StopAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

    private static class NativeMethods
    {
        [DllImport("libc", EntryPoint = "umask")]
        [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
        public static extern uint Mask(uint mask);
    }
}
