# Signals that end a shell while servers run, or would end it because of a log.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeAll {
    $manifest = "$([System.IO.Path]::GetFullPath("$PSScriptRoot/../.."))/C10kServer.psd1"
    Import-Module "$PSScriptRoot/../Clients/TestClient.psm1"
    Import-Module "$PSScriptRoot/../Host/TestShell.psm1"

    function Send-Signal([string] $Name, [int] $Id) {
        $kill = [System.Diagnostics.Process]::Start('kill', "-$Name $Id")
        $kill.WaitForExit()
        $kill.ExitCode | Should -Be 0
    }

    function Get-CaughtSignal([int] $Id) {
        $line = [System.IO.File]::ReadAllLines("/proc/$Id/status").Where({ $_.StartsWith('SigCgt:') })[0]
        $caught = [Convert]::ToUInt64($line.Substring(7).Trim(), 16)
        foreach ($signal in @{ Name = 'HUP'; Number = 1 }, @{ Name = 'TERM'; Number = 15 }) {
            if ($caught -band ([uint64]1 -shl ($signal.Number - 1))) { $signal.Name }
        }
    }
}

Describe 'A shell with servers' {
    BeforeEach {
        $folder = [System.IO.Directory]::CreateTempSubdirectory('c10k').FullName
    }

    AfterEach {
        [System.IO.Directory]::Delete($folder, $true)
    }

    It 'stops them at <Signal> before it ends as the signal wants it' -ForEach @(
        @{ Signal = 'TERM'; ExitCode = 143 }
        @{ Signal = 'HUP'; ExitCode = 129 }
    ) {
        $shell = Open-TestShell
        try {
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
            $line = "`$s = Start-C10kServer -Name Main -Address 127.0.0.1 -UnixPath '$folder/s' -LogPath '$folder/log' -Framing Line " +
                "-ScriptBlock { `$_ } -OnClose { [System.IO.File]::WriteAllText('$folder/closed', 'yes') }; `"port `$(`$s.Port)`""
            $port = Invoke-TestShell $shell -Line $line -Until 'port '
            [System.IO.File]::Exists("$folder/s") | Should -BeTrue
            $client = [System.Net.Sockets.TcpClient]::new('127.0.0.1', $port)
            try {
                $client.GetStream().Write([byte[]](65, 10))
                $client.GetStream().ReadByte() | Should -Be 65
                Send-Signal $Signal $shell.Id
                $shell.WaitForExit(20000) | Should -BeTrue
                $shell.ExitCode | Should -Be $ExitCode
            } finally {
                $client.Dispose()
            }

            [System.IO.File]::Exists("$folder/s") | Should -BeFalse -Because 'the file of the socket is removed'
            [System.IO.File]::Exists("$folder/closed") | Should -BeTrue -Because 'OnClose has run'
            [System.IO.File]::ReadAllText("$folder/log") | Should -Match 'ServerStopped'
        } finally {
            Close-TestShell $shell
        }
    }

    It 'looks out for signals only while a server runs' {
        $shell = Open-TestShell
        try {
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
            $before = @(Get-CaughtSignal $shell.Id)
            $null = Invoke-TestShell $shell -Line '$one = Start-C10kServer; $two = Start-C10kServer; "started"' -Until 'started'
            @(Get-CaughtSignal $shell.Id) | Should -Be 'HUP', 'TERM'
            $null = Invoke-TestShell $shell -Line '$one | Stop-C10kServer; "one"' -Until 'one'
            @(Get-CaughtSignal $shell.Id) | Should -Be 'HUP', 'TERM'
            $null = Invoke-TestShell $shell -Line '$two | Stop-C10kServer; "none"' -Until 'none'
            @(Get-CaughtSignal $shell.Id) | Should -Be $before
        } finally {
            Close-TestShell $shell
        }
    }

    It 'goes on at a SIGHUP that it ignores, as under nohup' {
        $shell = Open-TestShell -Under 'sh', '-c', 'trap "" HUP; exec "$@"', 'sh'
        try {
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; `$s = Start-C10kServer; 'ready'" -Until 'ready'
            Send-Signal 'HUP' $shell.Id
            Invoke-TestShell $shell -Line '"state $($s.State)"' -Until 'state ' | Should -Be 'Running'
            Invoke-TestShell $shell -Line '"test $(Test-C10kServer $s.Name)"' -Until 'test ' | Should -Be 'True'
        } finally {
            Close-TestShell $shell
        }
    }

    It 'survives a log that is as large as the process may make a file, and says so' {
        if (-not (Get-Command prlimit -CommandType Application -ErrorAction Ignore)) {
            Set-ItResult -Skipped -Because 'there is no prlimit here; Debian has it in the package util-linux'
            return
        }

        # A file with a hole, so that the limit is far from what the shell itself writes.
        $most = 64MB
        $file = [System.IO.File]::Create("$folder/log")
        $file.SetLength($most - 100)
        $file.Dispose()
        $shell = Open-TestShell
        try {
            $null = Invoke-TestShell $shell -Line "Import-Module '$manifest'; 'ready'" -Until 'ready'
            $limit = [System.Diagnostics.Process]::Start('prlimit', "--pid $($shell.Id) --fsize=${most}:$most")
            $limit.WaitForExit()
            $limit.ExitCode | Should -Be 0
            $port = Invoke-TestShell $shell -Line "`$s = Start-C10kServer -LogPath '$folder/log' -LogLevel Debug; `"port `$(`$s.Port)`"" -Until 'port '
            foreach ($time in 1..20) { [System.Net.Sockets.TcpClient]::new('127.0.0.1', $port).Dispose() }
            $line = 'while (-not $s.LastError) { Start-Sleep -Milliseconds 5 }; "error $($s.LastError)"'
            Invoke-TestShell $shell -Line $line -Until 'error ' | Should -Match 'errno 27'
            Invoke-TestShell $shell -Line '"test $(Test-C10kServer $s.Name)"' -Until 'test ' | Should -Be 'True'
            [System.IO.FileInfo]::new("$folder/log").Length | Should -Be $most
            $null = Invoke-TestShell $shell -Line '$s | Stop-C10kServer; "stopped"' -Until 'stopped'
        } finally {
            Close-TestShell $shell
        }
    }
}
