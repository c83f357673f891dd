using System;
using System.IO;
using System.Linq;
using System.Net.Http;
using System.Security.Cryptography;
using System.Text.Json;
using System.Threading;
using System.Threading.Tasks;
using Quietus.Cli.Exec;
using Shouldly;
using Xunit;

namespace Quietus.Service.Tests;

/// <summary>What each request does, on one server for all of them.</summary>
public sealed class ApiTests(OneServer shared) : IClassFixture<OneServer>
{
    private const string Exec = "/v1/templates/busybox/exec";

    private TestServer Server => shared.Server;

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    [Fact]
    public async Task It_says_what_it_is_and_what_it_holds()
    {
        (await Server.GetAsync("/v1/health")).GetProperty("status").GetString().ShouldBe("ok");
        JsonElement template = (await Server.GetAsync("/v1/templates")).GetProperty("templates")[0];
        template.GetProperty("name").GetString().ShouldBe("busybox");
        template.GetProperty("memory_bytes").GetInt64().ShouldBe(256 << 20);
        template.GetProperty("most_vms").GetInt32().ShouldBe(8);
    }

    [Fact]
    public async Task The_OpenAPI_document_has_every_request()
    {
        JsonElement paths = (await Server.GetAsync("/openapi/v1.json")).GetProperty("paths");
        string.Join(' ', paths.EnumerateObject()
            .SelectMany(path => path.Value.EnumerateObject().Select(verb => $"{verb.Name}:{path.Name}"))
            .Order(StringComparer.Ordinal)).ShouldBe(
            "delete:/v1/templates/{name} delete:/v1/vms/{id} get:/v1/health get:/v1/overview get:/v1/templates "
                + "get:/v1/templates/{name}/run get:/v1/vms get:/v1/vms/{id} get:/v1/vms/{id}/files "
                + "get:/v1/vms/{id}/run post:/v1/templates post:/v1/templates/{name}/exec "
                + "post:/v1/templates/{name}/vms post:/v1/vms/{id}/exec post:/v1/vms/{id}/fork "
                + "post:/v1/vms/{id}/freeze post:/v1/vms/{id}/reset put:/v1/vms/{id}/files");
        paths.EnumerateObject().SelectMany(path => path.Value.EnumerateObject())
            .ShouldAllBe(verb => verb.Value.GetProperty("summary").GetString()!.Length > 5);
    }

    [Fact]
    public async Task A_program_s_output_comes_line_by_line_and_its_end_last()
    {
        (string output, string errors, JsonElement last) = await Server.ExecAsync(
            Exec, """{"command":["sh","-c","cat; echo $A >&2; exit 7"],"environment":["A=b"],"stdin":"aGVsbG8="}""");
        (output, errors).ShouldBe(("hello", "b\n"));
        JsonElement end = last.GetProperty("end");
        end.GetProperty("exit_code").GetInt32().ShouldBe(7);
        end.GetProperty("birth_ns").GetInt64().ShouldBeGreaterThan(0);
        end.GetProperty("total_ns").GetInt64().ShouldBeGreaterThanOrEqualTo(end.GetProperty("run_ns").GetInt64());
    }

    [Fact]
    public async Task A_time_limit_ends_a_program()
    {
        (_, _, JsonElement last) = await Server.ExecAsync(Exec, """{"command":["sleep","600"],"timeout_ms":200}""");
        last.GetProperty("end").GetProperty("exit_code").GetInt32().ShouldBe(124);
    }

    [Theory]
    [InlineData(400, """{"command":["true"],"surprise":1}""", "surprise")]
    [InlineData(400, """{"command":[]}""", "no command")]
    [InlineData(400, """{"command":["true"],"stdin":"?"}""", "base64")]
    [InlineData(400, """{"command":["true"],"environment":["A"]}""", "NAME=VALUE")]
    [InlineData(400, """{"command":["true"],"terminal":{"rows":2,"columns":3}}""", "WebSocket")]
    [InlineData(400, "nonsense", "JSON")]
    public async Task What_makes_no_sense_is_refused(int status, string body, string why)
    {
        JsonElement problem = await Server.SendAsync(HttpMethod.Post, Exec, status, body);
        problem.GetProperty("status").GetInt32().ShouldBe(status);
        problem.GetProperty("error").GetString()!.ShouldContain(why);
    }

    [Fact]
    public async Task What_is_not_there_is_not_found()
    {
        await Server.SendAsync(HttpMethod.Post, "/v1/templates/none/exec", 404, """{"command":["true"]}""");
        await Server.SendAsync(HttpMethod.Post, "/v1/templates/none/vms", 404);
        await Server.SendAsync(HttpMethod.Get, "/v1/vms/999", 404);
        await Server.SendAsync(HttpMethod.Delete, "/v1/vms/999", 404);
        await Server.SendAsync(HttpMethod.Post, "/v1/vms/999/fork", 404);
        await Server.SendAsync(HttpMethod.Get, "/v1/templates/busybox/run", 400);
    }

    [Fact]
    public async Task A_VM_lives_until_it_is_killed()
    {
        JsonElement born = await Server.SendAsync(HttpMethod.Post, "/v1/templates/busybox/vms", 200);
        string vm = $"/v1/vms/{born.GetProperty("id").GetInt64()}";
        born.GetProperty("state").GetString().ShouldBe("running");
        (await Server.ExecAsync(vm + "/exec", """{"command":["echo","x"]}""")).Output.ShouldBe("x\n");
        (await Server.SendAsync(HttpMethod.Post, vm + "/reset", 200)).GetProperty("state").GetString()
            .ShouldBe("running");
        await Server.SendAsync(HttpMethod.Post, vm + "/fork", 409);

        (await Server.SendAsync(HttpMethod.Post, vm + "/freeze", 200)).GetProperty("state").GetString()
            .ShouldBe("frozen");
        await Server.SendAsync(HttpMethod.Post, vm + "/exec", 409, """{"command":["true"]}""");
        JsonElement child = await Server.SendAsync(HttpMethod.Post, vm + "/fork", 200);
        child.GetProperty("parent").GetInt64().ShouldBe(born.GetProperty("id").GetInt64());
        string childPath = $"/v1/vms/{child.GetProperty("id").GetInt64()}";
        (await Server.ExecAsync(childPath + "/exec", """{"command":["echo","y"]}""")).Output.ShouldBe("y\n");

        await Server.SendAsync(HttpMethod.Delete, childPath, 204);
        await Server.SendAsync(HttpMethod.Get, childPath, 404);
        await Server.SendAsync(HttpMethod.Delete, vm, 204);
    }

    [Fact]
    public async Task Files_go_in_and_come_out()
    {
        JsonElement born = await Server.SendAsync(HttpMethod.Post, "/v1/templates/busybox/vms", 200);
        string vm = $"/v1/vms/{born.GetProperty("id").GetInt64()}";
        byte[] bytes = new byte[3 << 20];
        new Random(14).NextBytes(bytes);
        var files = new Uri($"{vm}/files?path={Server.Cli.PathOf("there")}", UriKind.Relative);
        using var content = new ByteArrayContent(bytes);
        using HttpResponseMessage put = await Server.Http.PutAsync(files, content, Stop);
        ((int)put.StatusCode).ShouldBe(204);
        (await Server.Http.GetByteArrayAsync(files, Stop)).ShouldBe(bytes);
        (await Server.SendAsync(HttpMethod.Get, vm + "/files?path=/no/file", 409)).GetProperty("error").GetString()
            .ShouldBe("the file cannot be opened: no such file or directory");
        await Server.SendAsync(HttpMethod.Get, vm + "/files?path=relative", 400);
        await Server.SendAsync(HttpMethod.Delete, vm, 204);
    }

    [Fact]
    public async Task A_job_s_VM_can_be_killed_and_the_job_is_answered()
    {
        Task<(string Output, string Errors, JsonElement Last)> job = Server.ExecAsync(
            Exec, """{"command":["sh","-c","echo begun; exec sleep 601"]}""");
        long id = 0;
        await Server.WaitAsync(
            async () =>
            {
                JsonElement[] vms = [.. (await Server.GetAsync("/v1/vms")).GetProperty("vms").EnumerateArray()
                    .Where(vm => vm.GetProperty("kind").GetString() == "job")];
                id = vms.Length == 1 ? vms[0].GetProperty("id").GetInt64() : 0;
                return id != 0;
            },
            "the job has no VM");
        await Server.SendAsync(HttpMethod.Post, $"/v1/vms/{id}/freeze", 409);
        await Server.SendAsync(HttpMethod.Delete, $"/v1/vms/{id}", 204);
        try
        {
            (await job).Last.GetProperty("problem").GetProperty("error").GetString()!.ShouldContain("was killed");
        }
        catch (ShouldAssertException error)
        {
            // It was killed before its first output.
            error.Message.ShouldContain("was killed");
        }
    }

    [Fact]
    public async Task Ten_megabytes_go_in_and_come_out_byte_for_byte()
    {
        byte[] bytes = new byte[10 << 20];
        new Random(15).NextBytes(bytes);
        using var input = new MemoryStream(bytes);
        using var output = new MemoryStream();
        (await Server.RunAsync(new JobStreams(input, output, output), "cat")).ExitCode.ShouldBe(0);
        SHA256.HashData(output.ToArray()).ShouldBe(SHA256.HashData(bytes));
    }

    [Fact]
    public async Task The_metrics_are_Prometheus_ones()
    {
        await Server.ExecAsync(Exec, """{"command":["true"]}""");
        string text = await Server.Http.GetStringAsync(new Uri("/metrics", UriKind.Relative), Stop);
        text.ShouldContain("quietus_jobs_total{");
        text.ShouldContain("quietus_job_step_seconds_bucket{");
        text.ShouldContain("quietus_machine_ready");
        text.ShouldContain("service_name=\"quietus\"");
    }
}
