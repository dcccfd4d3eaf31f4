# Importing: other copies, other builds, many runspaces at once, and code that is compiled before the first command.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $root = [System.IO.Path]::GetFullPath("$PSScriptRoot/../..")
    $manifest = "$root/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Host/TestShell.psm1"
    $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k-import-').FullName

    # A second copy of the module, by itself in a folder.
    function Copy-Module {
        param([string] $Name)
        $copy = "$folder/$Name"
        $null = [System.IO.Directory]::CreateDirectory($copy)
        foreach ($item in 'C10kServer.psd1', 'C10kServer.psm1', 'Formats', 'en-US', 'bin') {
            Copy-Item -LiteralPath "$root/$item" -Destination $copy -Recurse
        }

        $copy
    }

    # Makes an assembly that of another build: the compiler gives each build an identity of sixteen bytes.
    function Set-Build {
        param([string] $Path)
        $bytes = [System.IO.File]::ReadAllBytes($Path)
        $reader = [System.Reflection.PortableExecutable.PEReader]::new([System.IO.MemoryStream]::new($bytes))
        $metadata = [System.Reflection.Metadata.PEReaderExtensions]::GetMetadataReader($reader)
        $identity = $metadata.GetGuid($metadata.GetModuleDefinition().Mvid).ToByteArray()
        $reader.Dispose()
        $text = [System.Text.Encoding]::Latin1
        $position = $text.GetString($bytes).IndexOf($text.GetString($identity), [System.StringComparison]::Ordinal)
        $position | Should -BeGreaterThan 0
        $bytes[$position] = $bytes[$position] -bxor 0xFF
        [System.IO.File]::Delete($Path)
        [System.IO.File]::WriteAllBytes($Path, $bytes)
    }

    # Imports in a shell of its own, and returns what each step has said.
    function Invoke-Import {
        param([string] $Command)
        $text = Wait-TestShell (Open-TestShell -Command "
            function Import {
                `$error.Clear()
                try { Import-Module @args } catch { `$thrown = `$_.Exception.Message }
                'errors:' + `$error.Count
                `$thrown
            }

            `$ErrorActionPreference = 'Stop'
            $Command")
        @($text -split '\r?\n')
    }
}

AfterAll {
    [System.IO.Directory]::Delete($folder, $true)
}

Describe 'Another copy of the module' {
    It 'beside the first is one sentence, and the first and its servers go on' {
        $copy = Copy-Module -Name beside
        $said = Invoke-Import "
            Import '$manifest'
            `$server = Start-C10kServer
            Import '$copy/C10kServer.psd1'
            (Get-Module C10kServer).ModuleBase
            (Get-C10kServer).State"
        $said[0, 1] | Should -Be 'errors:0', 'errors:1'
        $said[2] | Should -Be "C10kServer cannot be imported from $copy, because this session has imported it from ${root}: use that copy, or remove it first, with Remove-Module C10kServer."
        $said[3, 4] | Should -Be $root, 'Running'
    }

    It 'of the same build works after the first is removed, with views and types' {
        $copy = Copy-Module -Name same
        $said = Invoke-Import "
            Import '$manifest'
            Remove-Module C10kServer
            Import '$copy/C10kServer.psd1'
            (Get-Module C10kServer).ModuleBase
            (Start-C10kServer).State
            (Get-FormatData C10kServer.Server).FormatViewDefinition.Count -gt 0
            (Get-TypeData C10kServer.Server).SerializationDepth"
        $said | Should -Be 'errors:0', 'errors:0', $copy, 'Running', 'True', '1'
    }

    It 'of another build, in <_>, is one sentence after the first is removed' -ForEach 'C10kServer.Cmdlets.dll', 'dependencies/C10kServer.Engine.dll' {
        $copy = Copy-Module -Name "other-$([System.IO.Path]::GetFileName($_))"
        Set-Build -Path "$copy/bin/$_"
        foreach ($use in '', 'Start-C10kServer | Stop-C10kServer') {
            $said = Invoke-Import "
                Import '$manifest'
                $use
                Remove-Module C10kServer
                Import '$copy/C10kServer.psd1'
                @(Get-Module C10kServer).Count"
            $said[0, 1] | Should -Be 'errors:0', 'errors:1'
            $said[2] | Should -Be "C10kServer cannot be imported from $copy, because this process has loaded another build of it, from $root/bin/C10kServer.Cmdlets.dll, and cannot unload that: start a new PowerShell session, and import it there."
            $said[3] | Should -Be 0
        }
    }

    It 'that was built again in place is one sentence, and never the old code' {
        $copy = Copy-Module -Name again
        [System.IO.File]::Copy("$copy/bin/C10kServer.Cmdlets.dll", "$folder/rebuilt.dll")
        Set-Build -Path "$folder/rebuilt.dll"
        $said = Invoke-Import "
            Import '$copy/C10kServer.psd1'
            Start-C10kServer | Stop-C10kServer
            Import '$copy/C10kServer.psd1' -Force
            [System.IO.File]::Delete('$copy/bin/C10kServer.Cmdlets.dll')
            [System.IO.File]::Move('$folder/rebuilt.dll', '$copy/bin/C10kServer.Cmdlets.dll')
            Import '$copy/C10kServer.psd1' -Force
            @(Get-Module C10kServer).Count"
        $said[0..2] | Should -Be 'errors:0', 'errors:0', 'errors:1'
        $said[3] | Should -BeLike '*another build of it*: start a new PowerShell session, and import it there.'
        $said[4] | Should -Be 0
    }
}

Describe 'An import in eight runspaces at the same time' {
    BeforeAll {
        # Imports where the others do too, and says whether this runspace has the views and the types.
        $import = {
            param($manifest, $others)
            $null = $others.SignalAndWait([timespan]::FromMinutes(5))
            Import-Module $manifest -ErrorAction Stop
            $null -ne (Get-FormatData C10kServer.Server) -and (Get-TypeData C10kServer.Server).SerializationDepth -eq 1
            $null = $others.SignalAndWait([timespan]::FromMinutes(5))
        }

        function Invoke-Together {
            param([scriptblock] $Open)
            $others = [System.Threading.Barrier]::new(8)
            $shells = foreach ($number in 1..8) {
                $shell = [powershell]::Create()
                & $Open $shell
                $null = $shell.AddScript($import).AddArgument($manifest).AddArgument($others)
                @{ Shell = $shell; Result = $shell.BeginInvoke() }
            }

            foreach ($one in $shells) {
                try {
                    $one.Shell.EndInvoke($one.Result)
                } catch {
                    # The others do not wait for a runspace that has failed.
                    $others.RemoveParticipants(1)
                    $_.Exception.Message
                } finally {
                    $one.Shell.Dispose()
                }
            }
        }
    }

    It 'gives each runspace of a pool the views and the types, ten times' {
        foreach ($time in 1..10) {
            $pool = [runspacefactory]::CreateRunspacePool(8, 8)
            try {
                $pool.Open()
                Invoke-Together { param($shell) $shell.RunspacePool = $pool } | Should -Be (@($true) * 8)
            } finally {
                $pool.Dispose()
            }
        }
    }

    It 'gives each runspace of its own the views and the types, ten times' {
        foreach ($time in 1..10) {
            $runspaces = [System.Collections.Queue]::new()
            try {
                $made = foreach ($number in 1..8) { [runspacefactory]::CreateRunspace([initialsessionstate]::CreateDefault2()) }
                foreach ($runspace in $made) { $runspace.Open(); $runspaces.Enqueue($runspace) }
                Invoke-Together { param($shell) $shell.Runspace = $runspaces.Dequeue() } | Should -Be (@($true) * 8)
            } finally {
                foreach ($runspace in $made) { $runspace.Dispose() }
            }
        }
    }
}

Describe 'The assemblies in place' {
    It 'hold machine code for this machine beside the IL' {
        $paths = [System.IO.Directory]::GetFiles("$root/bin", '*.dll', 'AllDirectories')
        $paths.Count | Should -BeGreaterThan 3
        foreach ($path in $paths) {
            $reader = [System.Reflection.PortableExecutable.PEReader]::new([System.IO.File]::OpenRead($path))
            $reader.PEHeaders.CorHeader.ManagedNativeHeaderDirectory.Size | Should -BeGreaterThan 0 -Because $path
            $reader.Dispose()
        }
    }

    It 'leave less than half of the first start to the JIT' {
        # The methods that the thread of the command compiles: a number that a busy machine does not change. IL alone makes it over 400.
        $count = '[System.Runtime.JitInfo]::GetCompiledMethodCount($true)'
        $shell = Open-TestShell -Command "Import-Module '$manifest'; `$before = $count; `$before = $count; `$null = Start-C10kServer; $count - `$before"
        [int](Wait-TestShell $shell) | Should -BeLessThan 200
    }
}
