using System;
using System.IO;
using Shouldly;
using Xunit;

namespace Quietus.Analyzers.Tests;

/// <summary>The arrows between the layers, tried with projects that are thrown away.</summary>
public sealed class LayeringTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("quietus-layers-").FullName;

    public LayeringTests()
    {
        string[] shared = ["Directory.Build.props", "Directory.Build.targets", "Directory.Packages.props"];
        foreach (string file in shared)
        {
            File.Copy(Path.Combine(Repository.Root, file), Path.Combine(_root, file));
        }
    }

    [Theory]
    [InlineData("src/Memory", "../Stage2/Stage2.csproj")]
    [InlineData("src/Cli", "../Wire/Wire.csproj")]
    [InlineData("src/Hypervisor", "../Memory/Memory.csproj")]
    public void A_reference_downward_builds(string project, string reference) =>
        Check(project, $"<ProjectReference Include=\"{reference}\" />").Code.ShouldBe(0);

    [Theory]
    [InlineData("src/Stage2", "../Memory/Memory.csproj", "Stage2 must not use Memory")]
    [InlineData("src/Memory", "../Hypervisor/Hypervisor.csproj", "Memory must not use Hypervisor")]
    [InlineData("src/Memory", "../Cli/Cli.csproj", "Memory must not use Cli")]
    [InlineData("src/Wire", "../Stage2/Stage2.csproj", "Wire must not use Stage2")]
    [InlineData("guests/Filler", "../../src/Hypervisor/Hypervisor.csproj", "Filler must not use Hypervisor")]
    public void A_reference_upward_or_sideways_is_an_error(string project, string reference, string message)
    {
        (int code, string output) = Check(project, $"<ProjectReference Include=\"{reference}\" />");

        code.ShouldNotBe(0);
        output.ShouldContain("QT1001");
        output.ShouldContain(message);
    }

    [Fact]
    public void Sources_of_an_upper_layer_are_an_error_like_a_reference()
    {
        Directory.CreateDirectory(Path.Combine(_root, "src/Hypervisor"));
        File.WriteAllText(Path.Combine(_root, "src/Hypervisor/Vcpu.cs"), "class Vcpu;");

        (int code, string output) = Check("src/Memory", "<Compile Include=\"../Hypervisor/*.cs\" />");

        code.ShouldNotBe(0);
        output.ShouldContain("Memory must not use Hypervisor");
    }

    [Fact]
    public void Sources_of_a_lower_layer_may_be_compiled_in()
    {
        Directory.CreateDirectory(Path.Combine(_root, "src/Stage2"));
        File.WriteAllText(Path.Combine(_root, "src/Stage2/Ipa.cs"), "struct Ipa;");

        Check("src/Hypervisor", "<Compile Include=\"../Stage2/*.cs\" />").Code.ShouldBe(0);
    }

    [Fact]
    public void A_layer_without_a_place_in_the_house_is_an_error()
    {
        (int code, string output) = Check("src/Cellar", "");

        code.ShouldNotBe(0);
        output.ShouldContain("QT1000");
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>Runs the check, which needs neither a restore nor the projects that are referred to.</summary>
    private (int Code, string Output) Check(string project, string items)
    {
        string folder = Path.Combine(_root, project);
        Directory.CreateDirectory(folder);
        string file = Path.Combine(folder, $"{Path.GetFileName(project)}.csproj");
        File.WriteAllText(file, $"<Project Sdk=\"Microsoft.NET.Sdk\"><ItemGroup>{items}</ItemGroup></Project>");
        return Repository.Run(_root, "dotnet", "msbuild", file, "-t:CheckLayers", "-nologo", "-nodeReuse:false");
    }
}
