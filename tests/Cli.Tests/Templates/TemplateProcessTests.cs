using System.IO;
using System.Text.Json;
using Quietus.Cli.Tests.Exec;
using Shouldly;
using Xunit;

namespace Quietus.Cli.Tests.Templates;

/// <summary><c>template</c> as a process, against a machine whose agent runs this host's programs.</summary>
public sealed class TemplateProcessTests
{
    [Fact]
    public void What_was_built_is_listed_used_and_removed()
    {
        using Cli cli = ExecProcessTests.Make();
        string warm = cli.PathOf("warm");
        Write(cli, $$"""
            {
              // A comment is allowed.
              "image": "root", "memory": "128M", "cpus": 2, "environment": ["A=1", "B=2"], "working_folder": "/usr",
              "warm_up": [["touch", "{{warm}}"]],
            }
            """);
        Directory.CreateDirectory(cli.PathOf("root/etc"));
        Cli.Outcome built = cli.Run("template", "build", "mine", "--file", cli.PathOf("t.json"));
        built.Code.ShouldBe(0, built.Errors);
        built.Errors.ShouldContain("mine was ready after");
        File.Exists(warm).ShouldBeTrue();

        cli.Run("template", "list").Output.ShouldContain("mine");
        using (JsonDocument list = JsonDocument.Parse(cli.Run("template", "list", "--json").Output))
        {
            JsonElement entry = list.RootElement.GetProperty("templates")[0];
            entry.GetProperty("memory_bytes").GetInt64().ShouldBe(128 << 20);
            entry.GetProperty("schema").GetString().ShouldBe("quietus.template/1");
        }

        // The image itself is not needed any more, and the warm-up runs in each machine.
        Directory.Delete(cli.PathOf("root"), recursive: true);
        File.Delete(warm);
        Cli.Outcome used = cli.Run(
            "exec", "-q", "--template", "mine", "--env", "B=3", "--", "sh", "-c", "echo $A$B $(pwd)");
        used.Output.ShouldBe("13 /usr\n", used.Errors);
        File.Exists(warm).ShouldBeTrue();

        cli.Run("template", "remove", "mine").Code.ShouldBe(0);
        cli.Run("template", "list").Output.ShouldBeEmpty();
        cli.Run("exec", "--template", "mine", "--", "true").Code.ShouldBe(2);
    }

    [Fact]
    public void A_warm_up_that_fails_keeps_nothing_and_shows_what_it_wrote()
    {
        using Cli cli = ExecProcessTests.Make();
        Write(cli, """{ "warm_up": [["sh", "-c", "echo what is wrong; exit 3"]] }""");
        Cli.Outcome outcome = cli.Run("template", "build", "bad", "--file", cli.PathOf("t.json"));
        outcome.Code.ShouldBe(1, outcome.Errors);
        outcome.Errors.ShouldContain("the warm-up 'sh -c echo what is wrong; exit 3' ended with 3");
        outcome.Errors.ShouldContain("  | what is wrong");
        cli.Run("template", "list").Output.ShouldBeEmpty();
    }

    [Theory]
    [InlineData("""{ "imagee": "x" }""", "imagee")]
    [InlineData("""{ "cpus": 9 }""", "cpus cannot be 9")]
    [InlineData("""{ "memory": "much" }""", "no memory size")]
    [InlineData("""{ "warm_up": [[]] }""", "empty command")]
    [InlineData("""{ "environment": ["=x"] }""", "environment has")]
    [InlineData("""{ "image": "nowhere" }""", "cannot be")]
    [InlineData("[]", "not right")]
    public void A_file_that_is_not_right_is_a_usage_error(string text, string message)
    {
        using Cli cli = ExecProcessTests.Make();
        Write(cli, text);
        Cli.Outcome outcome = cli.Run("template", "build", "t", "--file", cli.PathOf("t.json"));
        outcome.Code.ShouldBe(2, outcome.Errors);
        outcome.Errors.ShouldContain(message);
    }

    [Theory]
    [InlineData("template", "build")]
    [InlineData("template", "build", "../up")]
    [InlineData("template", "build", "Upper")]
    [InlineData("template", "remove", "absent")]
    [InlineData("template", "list", "x")]
    [InlineData("template", "paint", "x")]
    public void What_makes_no_sense_is_a_usage_error(params string[] arguments)
    {
        using Cli cli = ExecProcessTests.Make();
        cli.Run(arguments).Code.ShouldBe(2);
    }

    private static void Write(Cli cli, string text) =>
        cli.WriteFile("t.json", System.Text.Encoding.UTF8.GetBytes(text));
}
