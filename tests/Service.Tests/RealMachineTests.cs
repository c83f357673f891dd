using System;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Security.Cryptography;
using System.Text.Json;
using System.Threading.Tasks;
using Quietus.Cli.Exec;
using Quietus.Cli.Serve;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>What the fake machine cannot show: VMs with memory, freezes, forks.</summary>
[Collection(RealServerTests.Name)]
public sealed class RealMachineTests(RealServer real)
{
    [Fact]
    public async Task Programs_run_in_Linux_VMs_whose_memory_the_overview_shows()
    {
        TestServer server = real.Server;
        Command.Outcome outcome = real.Exec("--", "uname", "-sm");
        (outcome.Code, outcome.Output).ShouldBe((0, "Linux aarch64\n"), outcome.Errors + server.Said);

        // No driver of a device has warned (build/linux-gate has the same of a newer kernel).
        real.Exec("--", "sh", "-c", RealServer.Warnings).Output.ShouldBe("none\n");

        byte[] bytes = new byte[10 << 20];
        new Random(16).NextBytes(bytes);
        using var output = new MemoryStream();
        ExecEnd end = await server.RunAsync(new JobStreams(new MemoryStream(bytes), output, output), "cat");
        end.ExitCode.ShouldBe(0);
        SHA256.HashData(output.ToArray()).ShouldBe(SHA256.HashData(bytes));

        JsonElement vm = await server.SendAsync(HttpMethod.Post, "/v1/templates/busybox/vms", 200);
        string path = $"/v1/vms/{vm.GetProperty("id").GetInt64()}";
        (await server.ExecAsync(path + "/exec", """{"command":["sh","-c","echo x >/kept"]}""")).Last
            .GetProperty("end").GetProperty("exit_code").GetInt32().ShouldBe(0);
        JsonElement overview = await server.GetAsync("/v1/overview");
        JsonElement seen = overview.GetProperty("vms").EnumerateArray().Single();
        seen.GetProperty("cpu_ns").GetInt64().ShouldBeGreaterThan(0);
        JsonElement pool = overview.GetProperty("pools")[0];
        JsonElement[] runs = [.. pool.GetProperty("runs").EnumerateArray()];
        runs.Sum(run => run.GetProperty("count").GetInt64()).ShouldBe(pool.GetProperty("chunks").GetInt64());
        long held = runs.Where(run => run.GetProperty("use").GetString() == "vm")
            .Sum(run => run.GetProperty("count").GetInt64()) * pool.GetProperty("chunk_bytes").GetInt64();
        held.ShouldBeGreaterThan(0);
        runs.ShouldContain(run => run.GetProperty("use").GetString() == "template");

        // A reset forgets the file; a frozen VM's child has it.
        (await server.ExecAsync(path + "/exec", """{"command":["cat","/kept"]}""")).Output.ShouldBe("x\n");
        await server.SendAsync(HttpMethod.Post, path + "/reset", 200);
        (await server.ExecAsync(path + "/exec", """{"command":["cat","/kept"]}""")).Output.ShouldBe("");
        await server.ExecAsync(path + "/exec", """{"command":["sh","-c","echo y >/kept"]}""");
        await server.SendAsync(HttpMethod.Post, path + "/freeze", 200);
        JsonElement child = await server.SendAsync(HttpMethod.Post, path + "/fork", 200);
        string childPath = $"/v1/vms/{child.GetProperty("id").GetInt64()}";
        (await server.ExecAsync(childPath + "/exec", """{"command":["cat","/kept"]}""")).Output.ShouldBe("y\n");
        await server.SendAsync(HttpMethod.Delete, childPath, 204);
        await server.SendAsync(HttpMethod.Delete, path, 204);
        await real.ShouldBeWholeAsync();
    }
}
