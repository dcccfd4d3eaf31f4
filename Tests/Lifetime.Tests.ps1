# The module's life in a shell: removal, forced import, other runspaces, exit.
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSUseDeclaredVarsMoreThanAssignments', '', Justification = 'BeforeAll sets, It reads.')]
param()

BeforeDiscovery {
    $hostBuilt = [System.IO.Directory]::Exists("$PSScriptRoot/Host/bin")
}

BeforeAll {
    $manifest = "$([System.IO.Path]::GetDirectoryName($PSScriptRoot))/C10kServer.psd1"
    Import-Module $manifest
    Import-Module "$PSScriptRoot/Clients/TestClient.psm1"
    $base = Get-ProcessLedger
}

Describe 'The module in a shell' {
    It 'is imported, starts a server and is removed twenty times, and nothing is left' {
        foreach ($time in 1..20) {
            Import-Module $manifest
            $server = Start-C10kServer -Workers 2
            Remove-Module C10kServer
            $server.State | Should -Be Stopped
        }

        Import-Module $manifest
        Wait-ProcessLedger -Base $base
    }

    It 'stops its servers when it is imported by force' {
        foreach ($time in 1..20) {
            $server = Start-C10kServer
            Import-Module $manifest -Force
            $server.State | Should -Be Stopped
            Get-C10kServer | Should -BeNullOrEmpty
        }

        Wait-ProcessLedger -Base $base
    }

    It 'is shared by the runspaces of the process, each of which stops its own servers' {
        $mine = Start-C10kServer -Name mine
        $shell = [powershell]::Create([initialsessionstate]::CreateDefault2())
        try {
            $null = $shell.AddScript("Import-Module '$manifest'; Start-C10kServer -Name theirs; (Get-C10kServer).Name -join ' '; Remove-Module C10kServer")
            $output = $shell.Invoke()
            $shell.Streams.Error | Should -BeNullOrEmpty
            $output[1] | Should -Be 'mine theirs'
            $output[0].State | Should -Be Stopped
            $mine.State | Should -Be Running
        } finally {
            $shell.Dispose()
            $mine | Stop-C10kServer
        }
    }

    It 'opens no thread and no descriptor when it is imported, and does not load the engine' -Skip:(-not $hostBuilt) {
        $program = Find-TestProgram -Folder "$PSScriptRoot/Host" -Name C10kServer.Host
        $script = @'
            $text = [AppDomain]::CurrentDomain.GetAssemblies().ForEach({ $_.GetName().Name }) -join ' '
            "engine=$($text -match 'C10kServer\.Engine') cmdlets=$($text -match 'C10kServer\.Cmdlets')"
'@
        $start = [System.Diagnostics.ProcessStartInfo]::new($program.Dotnet)
        $start.RedirectStandardOutput = $true
        foreach ($text in 'exec', $program.Path, '-Command', $script) { $start.ArgumentList.Add($text) }
        $process = [System.Diagnostics.Process]::Start($start)
        $process.StandardOutput.ReadToEnd().Trim() | Should -Be 'engine=False cmdlets=True'
        $process.WaitForExit()
    }

    It 'serves on through Ctrl+C, twenty times, and nothing is left after the stop' -Skip:(-not $hostBuilt) {
        $program = Find-TestProgram -Folder "$PSScriptRoot/Host" -Name C10kServer.Host
        $start = [System.Diagnostics.ProcessStartInfo]::new($program.Dotnet)
        $start.RedirectStandardInput = $start.RedirectStandardOutput = $true
        foreach ($text in 'exec', $program.Path) { $start.ArgumentList.Add($text) }
        $process = [System.Diagnostics.Process]::Start($start)

        # Types a line, and waits for the line of output that begins with a word.
        function Send-Line($Text, $Until) {
            $process.StandardInput.WriteLine($Text)
            $process.StandardInput.Flush()
            do {
                $line = $process.StandardOutput.ReadLineAsync()
                $line.Wait(30000) | Should -BeTrue
                $null -eq $line.Result | Should -BeFalse -Because 'the shell is still there'
            } until ($line.Result -match "^$Until(.*)")
            $Matches[1]
        }

        try {
            $port = Send-Line "Import-Module '$PSScriptRoot/Clients/TestClient.psm1'; `$base = Get-ProcessLedger; `$s = Start-C10kServer -Workers 2; `"port `$(`$s.Port)`"" 'port '
            $client = Open-TestClient -Argument 'hold', '--port', $port, '--count', 50
            (Read-TestClient -Client $client).failed | Should -Be 0
            foreach ($time in 1..20) {
                $null = Send-Line "'begun'; while (`$true) { `$null = Get-C10kConnection; `$null = Get-C10kServer }" 'begun'
                [System.Diagnostics.Process]::Start('kill', "-INT $($process.Id)").WaitForExit()
                (Invoke-TestClient -Client $client -Line 'echo 1 100').wrong | Should -Be 0
            }

            Send-Line '"state $($s.State) $($s.ConnectionCount)"' 'state ' | Should -Be 'Running 50'
            $null = Send-Line '$s | Stop-C10kServer; Wait-ProcessLedger -Base $base; "flat"' 'flat'
            (Invoke-TestClient -Client $client -Line 'wait ended=50').open | Should -Be 0
            $null = Close-TestClient -Client $client
            $process.StandardInput.Close()
            $process.WaitForExit(10000) | Should -BeTrue
        } finally {
            if (-not $process.HasExited) { $process.Kill() }
            $process.Dispose()
        }
    }

    It 'lets <Way> end the process within two seconds while servers run' -Skip:(-not $hostBuilt) -ForEach @(
        @{ Way = 'exit' }
        @{ Way = 'the end of input' }
        @{ Way = 'SIGTERM' }
    ) {
        $program = Find-TestProgram -Folder "$PSScriptRoot/Host" -Name C10kServer.Host
        $start = [System.Diagnostics.ProcessStartInfo]::new($program.Dotnet)
        $start.RedirectStandardInput = $start.RedirectStandardOutput = $true
        foreach ($text in 'exec', $program.Path) { $start.ArgumentList.Add($text) }
        $process = [System.Diagnostics.Process]::Start($start)
        try {
            $process.StandardInput.WriteLine('1..3 | ForEach-Object { Start-C10kServer -Workers 4 }; "port $((Get-C10kServer)[0].Port) of three"')
            $process.StandardInput.Flush()
            $port = 0
            while (-not $port) {
                $line = $process.StandardOutput.ReadLineAsync()
                $line.Wait(30000) | Should -BeTrue
                $null -eq $line.Result | Should -BeFalse -Because 'the shell is still there'
                if ($line.Result -match 'port (\d+) of three') { $port = [int]$Matches[1] }
            }

            $client = Open-TestClient -Argument 'hold', '--port', $port, '--count', 100
            (Read-TestClient -Client $client).failed | Should -Be 0
            $watch = [System.Diagnostics.Stopwatch]::StartNew()
            switch ($Way) {
                'exit' { $process.StandardInput.WriteLine('exit'); $process.StandardInput.Flush() }
                'the end of input' { $process.StandardInput.Close() }
                'SIGTERM' { [System.Diagnostics.Process]::Start('kill', "-TERM $($process.Id)").WaitForExit() }
            }

            $process.WaitForExit(10000) | Should -BeTrue
            $watch.Elapsed.TotalSeconds | Should -BeLessThan 2
            (Invoke-TestClient -Client $client -Line 'wait ended=100').open | Should -Be 0
            $null = Close-TestClient -Client $client
        } finally {
            if (-not $process.HasExited) { $process.Kill() }
            $process.Dispose()
        }
    }
}
