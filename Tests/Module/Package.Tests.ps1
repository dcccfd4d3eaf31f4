# What a gallery would get: the folder that dotnet publish makes, used where there is no repository.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $dotnet = Get-Command dotnet -CommandType Application -ErrorAction Ignore
}

BeforeAll {
    Import-Module "$PSScriptRoot/../Host/TestShell.psm1"
    $repository = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k-package-').FullName
    $module = "$folder/C10kServer"

    # Ends with the lines that the program has written, and fails where it does.
    function Invoke-Program {
        param([string] $Path, [string[]] $Argument, [string] $Location)
        $start = [System.Diagnostics.ProcessStartInfo]::new($Path)
        $start.RedirectStandardOutput = $true
        $start.WorkingDirectory = $Location
        foreach ($text in $Argument) { $start.ArgumentList.Add($text) }
        $process = [System.Diagnostics.Process]::Start($start)
        $output = $process.StandardOutput.ReadToEnd()
        $process.WaitForExit()
        if ($process.ExitCode -ne 0) { throw "$Path $Argument has failed: $output" }
        $output.Trim() -split '\r?\n'
    }

    # For which machine an assembly is, whether it holds machine code, and of which build it is.
    function Read-Assembly {
        param([string] $Path)
        $reader = [System.Reflection.PortableExecutable.PEReader]::new([System.IO.File]::OpenRead($Path))
        try {
            $metadata = [System.Reflection.Metadata.PEReaderExtensions]::GetMetadataReader($reader)
            [pscustomobject]@{
                Machine = $reader.PEHeaders.CoffHeader.Machine
                Native  = $reader.PEHeaders.CorHeader.ManagedNativeHeaderDirectory.Size -gt 0
                Build   = $metadata.GetGuid($metadata.GetModuleDefinition().Mvid)
            }
        } finally {
            $reader.Dispose()
        }
    }

    if (Get-Command dotnet -CommandType Application -ErrorAction Ignore) {
        $null = Invoke-Program -Path dotnet -Location $repository -Argument publish, 'Cmdlets/C10kServer.Cmdlets.csproj', "-p:GalleryFolder=$folder"
    }
}

AfterAll {
    [System.IO.Directory]::Delete($folder, $true)
}

Describe 'The published module' -Skip:(-not $dotnet) {
    It 'has a manifest that the shell accepts, with what a gallery shows' {
        $manifest = Test-ModuleManifest "$module/C10kServer.psd1"
        $manifest.Version | Should -Be ([version]'0.1.0')
        $manifest.Description | Should -Not -BeNullOrEmpty
        $data = $manifest.PrivateData.PSData
        $manifest.Author | Should -Not -BeNullOrEmpty
        $manifest.CompatiblePSEditions | Should -Be Core
        "$($manifest.PowerShellVersion)" | Should -Be '7.6'
        @($manifest.ExportedCmdlets.Keys).Count | Should -BeGreaterThan 20
        foreach ($uri in $data.LicenseUri, $data.ProjectUri) {
            [uri]::IsWellFormedUriString($uri, 'Absolute') | Should -BeTrue -Because $uri
        }
        foreach ($name in 'Tags', 'LicenseUri', 'ProjectUri', 'ReleaseNotes') { $data[$name] | Should -Not -BeNullOrEmpty }
        foreach ($file in 'LICENSE', 'README.md', 'CHANGELOG.md') { [System.IO.File]::Exists("$module/$file") | Should -BeTrue }
    }

    It 'has the version of its assemblies' {
        $version = [System.Reflection.AssemblyName]::GetAssemblyName("$module/bin/C10kServer.Cmdlets.dll").Version
        $version.ToString(3) | Should -Be (Test-ModuleManifest "$module/C10kServer.psd1").Version.ToString()
    }

    It 'holds nothing that the shell brings along' {
        $names = [System.IO.Directory]::GetFiles("$module/bin", '*.dll', 'AllDirectories').ForEach({ [System.IO.Path]::GetFileName($_) })
        $names | Should -Not -Contain 'System.Management.Automation.dll'
        $names | Should -Contain 'C10kServer.Engine.dll'
    }

    It 'has machine code for <Architecture> beside the IL, of the same build' -ForEach @(
        @{ Architecture = 'x64'; Machine = 'Amd64' }
        @{ Architecture = 'arm64'; Machine = 'Arm64' }
    ) {
        # The machine of an image is that of the processor, marked with the operating system it is for: 0x7B79 is Linux's.
        $expected = [int][System.Reflection.PortableExecutable.Machine]$Machine -bxor 0x7B79
        $paths = [System.IO.Directory]::GetFiles("$module/bin/linux-$Architecture", '*.dll', 'AllDirectories')
        $paths.Count | Should -Be ([System.IO.Directory]::GetFiles("$module/bin/dependencies", '*.dll').Count + 1)
        foreach ($path in $paths) {
            $image = Read-Assembly -Path $path
            $il = Read-Assembly -Path $path.Replace("/linux-$Architecture/", '/')
            [int]$image.Machine | Should -Be $expected -Because $path
            $image.Native | Should -BeTrue -Because $path
            $il.Native | Should -BeFalse -Because $path
            $image.Build | Should -Be $il.Build -Because $path
        }
    }

    It 'has the license of each library that is not its own' {
        $notice = [System.IO.File]::ReadAllText("$module/bin/dependencies/NOTICE.txt")
        $paths = [System.IO.Directory]::GetFiles("$module/bin/dependencies", '*.dll')
        $files = $paths.ForEach({ [System.IO.Path]::GetFileName($_) }) -notlike 'C10kServer.*'
        $files.Count | Should -BeGreaterThan 1
        foreach ($file in $files) { $notice | Should -Match "(?m)^$([regex]::Escape($file))$" }
    }

    It 'serves, with help, and takes nothing from the repository' {
        $shell = Open-TestShell -Location $folder -Command @"
            Import-Module '$module/C10kServer.psd1'
            `$server = Start-C10kServer -Framing Line -ScriptBlock { `$_.ToUpper() }
            `$client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', `$server.Port)
            `$stream = `$client.GetStream()
            `$stream.Write([byte[]](104, 105, 10))
            [System.IO.StreamReader]::new(`$stream).ReadLine()
            `$client.Dispose()
            Stop-C10kServer `$server.Name
            (Get-Help Start-C10kServer).Synopsis.Trim().Length -gt 10
            (Get-Help about_C10kServer).Length -gt 1000
            `$imported = Get-Module C10kServer
            `$imported.ModuleBase
            `$imported.NestedModules.ExportedFormatFiles; `$imported.NestedModules.ExportedTypeFiles
            (Get-Help Start-C10kServer).Synopsis.Trim().Length -gt 10 -and (Get-Help about_C10kServer_Testing).Length -gt 1000
            '--'

            [System.IO.File]::ReadAllLines('/proc/self/maps') -match ' $repository/(?!Tests/Host/bin/pwsh/)'
            '--'
            `$own = [AppDomain]::CurrentDomain.GetAssemblies().Where({ `$_.GetName().Name -like 'C10kServer.*' })
            `$own.Location
"@
        $seen, $strangers, $assemblies = (Wait-TestShell $shell) -replace '\r' -split '(?m)^--$'
        $seen = $seen.Trim() -split "`n"
        $seen[0, 1, 2] | Should -Be 'HI', 'True', 'True'
        $seen[3] | Should -Be $module
        $seen[4, 5] | Should -Be "$module/Formats/C10kServer.format.ps1xml", "$module/Formats/C10kServer.types.ps1xml"
        $seen[6] | Should -Be 'True'
        $strangers.Trim() | Should -BeNullOrEmpty -Because 'nothing of the repository is loaded but the shell itself'
        $assemblies = $assemblies.Trim() -split "`n"
        $assemblies | Should -HaveCount 2
        $own = "$module/bin/linux-$([System.Runtime.InteropServices.RuntimeInformation]::ProcessArchitecture.ToString().ToLowerInvariant())"
        foreach ($line in $assemblies) { $line | Should -BeLike "$own/*" }
    }
}
