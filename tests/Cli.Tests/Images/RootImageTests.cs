using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.Formats.Tar;
using System.IO;
using System.Linq;
using System.Text;
using Quietus.Cli.CommandLine;
using Quietus.Cli.Images;
using Shouldly;
using Xunit;
using static Quietus.Cli.Tests.Images.ImageFolder;

namespace Quietus.Cli.Tests.Images;

public sealed class RootImageTests : IDisposable
{
    private const string Configuration = """
        {"architecture":"arm64","os":"linux","config":{"Env":["PATH=/bin","A=1"],"WorkingDir":"/work","User":"web",
        "Entrypoint":["/entry"],"Cmd":["one","two"]}}
        """;

    private readonly ImageFolder _folder = new();

    public void Dispose() => _folder.Dispose();

    [Fact]
    public void An_archive_keeps_modes_owners_times_links_and_devices()
    {
        var program = (PaxTarEntry)File("bin/su", "elf", 0x9ED);
        program.Uid = 1000;
        program.Gid = 70000;
        program.ModificationTime = DateTimeOffset.FromUnixTimeSeconds(1_700_000_000);
        ImageTree tree = _folder.Tree(
            Folder("bin", 0x1C0), program, HardLink("bin/again", "bin/su"), Link("sh", "bin/su"),
            new PaxTarEntry(TarEntryType.CharacterDevice, "null") { DeviceMajor = 1, DeviceMinor = 3 },
            new PaxTarEntry(TarEntryType.Fifo, "pipe"));
        IReadOnlyList<CpioMember> members = Pack(tree);
        members.Select(member => member.Name).ShouldBe(["bin", "bin/again", "bin/su", "null", "pipe", "sh"]);
        members[0].Mode.ShouldBe(0x41C0);
        members[1].Content.ShouldBe("elf"u8.ToArray());
        (members[1].Mode, members[1].Owner, members[1].Group, members[1].Names).ShouldBe((0x89ED, 1000u, 70000u, 2u));
        (members[2].Inode, members[2].Names, members[2].Content.Length).ShouldBe((members[1].Inode, 2u, 0));
        (members[3].Mode & 0xF000, members[3].Major, members[3].Minor).ShouldBe((0x2000, 1u, 3u));
        (members[4].Mode & 0xF000).ShouldBe(0x1000);
        (members[5].Mode, Encoding.UTF8.GetString(members[5].Content)).ShouldBe((0xA1FF, "bin/su"));
        tree.Find("sh")!.Modified.ShouldBe(1_700_000_000u);
    }

    [Fact]
    public void The_same_image_gives_the_same_archive_whatever_the_order_of_its_entries() =>
        Bytes(_folder.Tree(File("b/x", "1"), File("a", "2")))
            .ShouldBe(Bytes(_folder.Tree(File("a", "2"), File("b/x", "1"))));

    [Fact]
    public void A_folder_is_taken_as_it_is_and_what_is_mine_is_root_s()
    {
        string root = _folder.At("root/x")[..^2];
        _folder.Write("root/etc/motd", "hello");
        Run("chmod", "400", Path.Combine(root, "etc/motd"));
        System.IO.File.CreateSymbolicLink(Path.Combine(root, "motd"), "/etc/motd");
        Run("ln", Path.Combine(root, "etc/motd"), Path.Combine(root, "same"));
        Run("mkfifo", Path.Combine(root, "pipe"));
        using RootImage image = _folder.Open(root);
        IReadOnlyList<CpioMember> members = Pack(image.Tree!);
        members.Select(member => member.Name).ShouldBe(["etc", "etc/motd", "motd", "pipe", "same"]);
        (members[1].Mode, members[1].Owner, members[1].Group, members[1].Names).ShouldBe((0x8100, 0u, 0u, 2u));
        members[4].Inode.ShouldBe(members[1].Inode);
        Text(image.Tree!, "motd").ShouldBe("hello");
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void An_OCI_layout_s_layers_lie_on_each_other_and_its_configuration_is_read(bool asArchive)
    {
        string layout = _folder.Layout(
            Configuration,
            Tar(Folder("etc"), File("etc/old", "1"), File("etc/kept", "1"), Folder("gone"), File("gone/x"),
                Folder("opaque"), File("opaque/low"), Link("lib", "usr/lib"), File("usr/lib/a", "1")),
            Gzip(Tar(File("etc/.wh.old"), File("etc/new", "2"), File(".wh.gone"), File("opaque/high", "2"),
                File("opaque/.wh..wh..opq"), File("lib/b", "2"))),
            Tar(Folder("etc", 0x1C0), File("gone/again", "3")));
        if (asArchive)
        {
            TarFile.CreateFromDirectory(layout, _folder.At("oci.tar"), includeBaseDirectory: false);
            layout = _folder.At("oci.tar");
        }

        using RootImage image = _folder.Open(layout);
        Pack(image.Tree!).Select(member => member.Name).ShouldBe(
        [
            "etc", "etc/kept", "etc/new", "gone", "gone/again", "lib", "opaque", "opaque/high", "usr", "usr/lib",
            "usr/lib/a", "usr/lib/b",
        ]);
        image.Tree!.Find("etc")!.Mode.ShouldBe(0x41C0);
        ImageConfiguration configuration = image.Configuration;
        configuration.Environment.ShouldBe(["PATH=/bin", "A=1"]);
        configuration.EntryPoint.ShouldBe(["/entry"]);
        configuration.Command.ShouldBe(["one", "two"]);
        (configuration.WorkingFolder, configuration.User).ShouldBe(("/work", "web"));
    }

    [Fact]
    public void A_whiteout_takes_nothing_that_came_with_its_own_layer()
    {
        string layout = _folder.Layout(
            Configuration,
            Tar(File("d/low"), File("f", "1")),
            Tar(File("d/high"), File("f", "2"), File(".wh.d"), File(".wh.f")));
        using RootImage image = _folder.Open(layout);
        Pack(image.Tree!).Select(member => member.Name).ShouldBe(["d", "d/high", "f"]);
        Text(image.Tree!, "f").ShouldBe("2");
    }

    [Fact]
    public void An_older_docker_save_is_read()
    {
        string archive = _folder.Write("saved.tar", Tar(
            File("manifest.json", """[{"Config":"c.json","RepoTags":["x:1"],"Layers":["1/layer.tar"]}]"""),
            File("c.json", Configuration),
            new PaxTarEntry(TarEntryType.RegularFile, "1/layer.tar")
            {
                DataStream = new MemoryStream(Tar(File("hello", "there"))),
            }));
        using RootImage image = _folder.Open(archive);
        Text(image.Tree!, "hello").ShouldBe("there");
        image.Configuration.User.ShouldBe("web");
    }

    [Theory]
    [InlineData("\"size\":", "\"size\":1", "is not what its name says")]
    [InlineData("sha256:", "sha256:00", "is missing")]
    [InlineData("sha256:", "md5:", "no digest")]
    [InlineData("\"arm64\"", "\"riscv64\"", "no image for arm64, but for amd64, riscv64")]
    [InlineData("manifests", "manifest", "JSON")]
    [InlineData("{", "[", "JSON")]
    public void A_layout_that_is_not_right_is_an_error(string what, string otherwise, string message)
    {
        string layout = _folder.Layout(Configuration, Tar(File("a")));
        string index = Path.Combine(layout, "index.json");
        string text = System.IO.File.ReadAllText(index);
        int at = text.LastIndexOf(what, StringComparison.Ordinal);
        System.IO.File.WriteAllText(index, text[..at] + otherwise + text[(at + what.Length)..]);
        Error(layout).ShouldContain(message);
    }

    [Fact]
    public void A_blob_that_was_changed_is_an_error()
    {
        string layout = _folder.Layout(Configuration, Tar(File("a")));
        foreach (string blob in Directory.GetFiles(layout, "*", SearchOption.AllDirectories)
            .Where(path => path.Contains("blobs", StringComparison.Ordinal)))
        {
            byte[] bytes = System.IO.File.ReadAllBytes(blob);
            bytes[^1] ^= 1;
            System.IO.File.WriteAllBytes(blob, bytes);
            Error(layout).ShouldContain("is not what its name says");
            bytes[^1] ^= 1;
            System.IO.File.WriteAllBytes(blob, bytes);
        }
    }

    [Fact]
    public void An_image_for_another_machine_is_an_error() => Error(_folder.Layout(
        Configuration.Replace("arm64", "amd64", StringComparison.Ordinal), Tar(File("a"))))
        .ShouldContain("made for amd64");

    [Fact]
    public void An_ext4_file_is_a_disk()
    {
        byte[] disk = new byte[8192];
        (disk[1024 + 56], disk[1024 + 57]) = (0x53, 0xEF);
        using RootImage image = _folder.Open(_folder.Write("root.ext4", disk));
        image.IsDisk.ShouldBeTrue();
    }

    [Fact]
    public void Anything_else_is_an_error()
    {
        Error(_folder.Write("text", "hello")).ShouldContain("none that is known");
        Error(_folder.Write("empty", "")).ShouldContain("none that is known");
        Error(_folder.Write("gzip", Gzip("hello"u8.ToArray()))).ShouldContain("damaged");
        Should.Throw<CliException>(() => _folder.Open("/nonexistent")).ExitCode.ShouldBe(ExitCode.Usage);
    }

    private string Error(string path)
    {
        CliException error = Should.Throw<CliException>(() => _folder.Open(path).Dispose());
        error.ExitCode.ShouldBe(ExitCode.Usage);
        return error.Message;
    }

    private static IReadOnlyList<CpioMember> Pack(ImageTree tree) => CpioMember.Read(Bytes(tree));

    private static byte[] Bytes(ImageTree tree)
    {
        using var stream = new MemoryStream();
        ImageArchive.Write(tree, stream);
        return stream.ToArray();
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        process.ExitCode.ShouldBe(0);
    }
}
