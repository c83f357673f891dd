using System.IO;
using System.Linq;
using System.Xml.Linq;
using Shouldly;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>A rule that is applied to nothing refuses nothing.</summary>
public class WiringTests
{
    [Theory]
    [InlineData("src/Stage2/Stage2.csproj")]
    [InlineData("src/Memory/Memory.csproj")]
    [InlineData("src/Wire/Wire.csproj")]
    [InlineData("src/Hypervisor/Hypervisor.csproj")]
    public void Every_freestanding_project_is_held_to_the_rules(string project)
    {
        (int code, string output) = Repository.Run(
            Repository.Root, "dotnet", "msbuild", project, "-getItem:ProjectReference", "-nologo", "-nodeReuse:false");

        code.ShouldBe(0, output);
        output.ShouldContain("build/Analyzers/Analyzers.csproj");
        output.ShouldContain("\"OutputItemType\": \"Analyzer\"");
    }

    [Fact]
    public void Every_project_is_in_the_solution()
    {
        string[] listed =
        [
            .. XDocument.Load(Path.Combine(Repository.Root, "Quietus.slnx"))
                .Descendants("Project")
                .Select(project => project.Attribute("Path")!.Value),
        ];

        Repository.Files.Where(path => path.EndsWith(".csproj", System.StringComparison.Ordinal))
            .Except(listed)
            .ShouldBeEmpty();
    }
}
