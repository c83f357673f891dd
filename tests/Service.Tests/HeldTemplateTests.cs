using System.Linq;
using System.Net.Http;
using System.Text.Json;
using System.Threading.Tasks;
using Quietus.Cli.Tests;
using Quietus.Cli.Tests.Guests;
using Shouldly;
using Xunit;
using Command = Quietus.Cli.Tests.Cli;

namespace Quietus.Service.Tests;

/// <summary>Templates that come to a running server, and go.</summary>
public sealed class HeldTemplateTests
{
    [Fact]
    public async Task A_template_that_was_built_is_held_from_then_on_and_released()
    {
        await using TestServer server = await TestServer.StartAsync("good", "--vms", "2");
        Build(server.Cli, "extra");
        JsonElement list = await server.GetAsync("/v1/templates");
        list.GetProperty("others").EnumerateArray().Select(name => name.GetString()).ShouldBe(["extra"]);
        await server.SendAsync(HttpMethod.Post, "/v1/templates", 404, """{"name":"none"}""");
        await server.SendAsync(HttpMethod.Post, "/v1/templates", 404, """{"name":"../busybox"}""");
        await server.SendAsync(HttpMethod.Post, "/v1/templates", 400, "{}");
        await server.SendAsync(HttpMethod.Post, "/v1/templates", 404, """{"name":"busybox-online"}""");

        (await server.SendAsync(HttpMethod.Post, "/v1/templates", 200, """{"name":"extra"}"""))
            .GetProperty("state").GetString().ShouldBeOneOf("starting", "ready");
        await server.WaitAsync(async () => await StateAsync(server, "extra") == "ready", "it is not ready");
        (await server.ExecAsync("/v1/templates/extra/exec", """{"command":["echo","x"]}""")).Output.ShouldBe("x\n");
        await server.SendAsync(HttpMethod.Post, "/v1/templates", 200, """{"name":"extra"}""");
        server.Cli.Machines().Length.ShouldBe(3); // busybox', the one that built it, and its own

        JsonElement vm = await server.SendAsync(HttpMethod.Post, "/v1/templates/extra/vms", 200);
        string path = $"/v1/vms/{vm.GetProperty("id").GetInt64()}";
        (await server.SendAsync(HttpMethod.Delete, "/v1/templates/extra", 409)).GetProperty("next").GetString()
            .ShouldBe("kill them, or add ?force=true, which ends them");
        await server.SendAsync(HttpMethod.Delete, "/v1/templates/extra?force=true", 204);
        (await server.GetAsync(path)).GetProperty("state").GetString().ShouldBe("ended");
        Command.IsAlive(server.Cli.Machines()[2]).ShouldBeFalse();
        (await StateAsync(server, "extra")).ShouldBeNull();
        await server.SendAsync(HttpMethod.Delete, "/v1/templates/extra", 404);
    }

    [Fact]
    public async Task Exec_has_a_template_held_that_is_not_yet()
    {
        await using TestServer server = await TestServer.StartAsync();
        Build(server.Cli, "extra");
        Command.Outcome outcome = server.Cli.Run("exec", "--template", "extra", "--", "echo", "x");
        (outcome.Code, outcome.Output, outcome.Errors).ShouldBe((0, "x\n", ""));
        (await StateAsync(server, "extra")).ShouldBe("ready");
        server.Cli.Machines().Length.ShouldBe(3);
    }

    [Fact]
    public async Task Beyond_the_limits_a_template_is_refused_and_exec_boots_a_machine()
    {
        await using TestServer server = await TestServer.StartAsync("good", "--vms", "1", "--most-memory", "1G");
        Build(server.Cli, "extra");
        JsonElement problem = await server.SendAsync(
            HttpMethod.Post, "/v1/templates", 503, """{"name":"extra"}""");
        problem.GetProperty("error").GetString()!.ShouldStartWith("with 'extra' the machines need ");
        Command.Outcome outcome = server.Cli.Run("exec", "--template", "extra", "--", "echo", "x");
        (outcome.Code, outcome.Output).ShouldBe((0, "x\n"), outcome.Errors);
        outcome.Errors.ShouldContain("'extra' is not held, and cannot be: with 'extra' the machines need ");
        (await StateAsync(server, "extra")).ShouldBeNull();
    }

    [Fact]
    public async Task A_network_is_a_template_s_where_the_server_may_have_one()
    {
        await using TestServer server = await TestServer.StartAsync("good", "--network", "user");
        Command cli = server.Cli;
        cli.Run("exec", "--network", "user", "--", "echo", "x").Output.ShouldBe("x\n");
        (await StateAsync(server, "busybox-online")).ShouldBe("ready");
        JsonElement[] held = [.. (await server.GetAsync("/v1/templates")).GetProperty("templates").EnumerateArray()];
        held.Select(template => template.GetProperty("network").GetString()).ShouldBe(["none", "user"]);
        cli.MachineArguments()[0].ShouldNotContain("-netdev");
        cli.MachineArguments()[1].ShouldContain("user,net=100.64.0.0/10");

        // Who asks for a network of that kind gets no other.
        const string Exec = "/v1/templates/busybox/exec";
        await server.SendAsync(HttpMethod.Post, Exec, 404, """{"command":["true"],"network":"user"}""");
        await server.SendAsync(HttpMethod.Post, Exec, 400, """{"command":["true"],"network":"x"}""");
        await server.ExecAsync(Exec, """{"command":["true"],"network":"none"}""");

        // A template says of itself whether it has one, and exec can say otherwise: not on this server then.
        cli.WriteFile("online.json", """{"network":"user"}"""u8.ToArray());
        cli.Run("template", "build", "online", "--file", cli.PathOf("online.json")).Code.ShouldBe(0);
        cli.Run("template", "list", "--json").Output.ShouldContain("\"has_network\": true");
        cli.Run("exec", "--template", "online", "--network", "user", "--", "true").Errors.ShouldBeEmpty();
        Command.Outcome outcome = cli.Run("exec", "--template", "online", "--network", "none", "--", "true");
        outcome.Code.ShouldBe(0, outcome.Errors);
        outcome.Errors.ShouldContain("'online' is no template with network none");
        cli.MachineArguments()[^1].ShouldNotContain("user,net=");

        cli.WriteFile("bad.json", """{"network":"all"}"""u8.ToArray());
        cli.Run("template", "build", "bad", "--file", cli.PathOf("bad.json")).Code.ShouldBe(2);
    }

    [Fact]
    public void A_server_that_may_have_no_network_is_told_of_a_template_that_has()
    {
        using Command cli = FakeGuest.Install(new Command());
        Command.Outcome outcome = Command.Finish(cli.StartServer("--template", "busybox-online"));
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Errors.ShouldContain("give --network user");
    }

    private static void Build(Command cli, string name)
    {
        Command.Outcome built = cli.Run("template", "build", name);
        built.Code.ShouldBe(0, built.Errors);
    }

    private static async Task<string?> StateAsync(TestServer server, string name) =>
        (await server.GetAsync("/v1/templates")).GetProperty("templates").EnumerateArray()
            .Where(template => template.GetProperty("name").GetString() == name)
            .Select(template => template.GetProperty("state").GetString()).SingleOrDefault();
}
